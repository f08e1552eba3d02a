"""The event log: append, read, seal."""
