"""The measuring itself: what it counts is what happened, and what it writes is what it counted."""
