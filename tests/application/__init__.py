"""The use cases, over an in-memory world."""
