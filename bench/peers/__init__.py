"""Two users services that others use, on the same machine and the same PostgreSQL, asked the same things."""
