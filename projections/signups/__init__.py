"""The read model `signups`: how many users there are, by day of creation, status and role."""
