"""The HTTP server, and what it does with clients that take too long."""
