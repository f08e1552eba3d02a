"""The event log: its recorders, the appender, the keys, the migrations; on real PostgreSQL."""
