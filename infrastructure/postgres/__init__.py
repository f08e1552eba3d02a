"""PostgreSQL: connections, migrations and shared point reads."""
