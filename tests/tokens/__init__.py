"""Sessions and tokens on real PostgreSQL."""
