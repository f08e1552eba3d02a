"""NATS JetStream: the connection and the relay."""
