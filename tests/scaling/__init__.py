"""Shows that the service scales out: a standby, a pooler, a broker of three, several hosts."""
