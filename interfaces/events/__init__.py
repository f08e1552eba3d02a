"""The published language: stored events as public messages."""
