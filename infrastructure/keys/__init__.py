"""The root key: found, made, replaced."""
