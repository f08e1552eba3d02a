"""The rules of the domain: given, when, then; nothing runs but pure functions."""
