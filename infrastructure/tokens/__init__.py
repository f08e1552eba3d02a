"""Issuing and checking tokens."""
