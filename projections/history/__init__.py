"""The read model `history`: one user's timeline, for people."""
