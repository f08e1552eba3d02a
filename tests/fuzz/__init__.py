"""Sends the running service what nobody should send, and looks for what must never come of it."""
