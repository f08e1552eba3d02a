"""The relay and the published language, against a real PostgreSQL and a real NATS server."""
