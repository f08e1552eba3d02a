"""Whether the log is what it was: signed checkpoints, their verification, and what a restored log needs."""
