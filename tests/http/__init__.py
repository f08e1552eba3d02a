"""The HTTP contract: what is answered, what is refused, and that nothing else comes out."""
