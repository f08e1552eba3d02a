"""The read model `users`: list, search and profile."""
