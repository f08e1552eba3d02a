"""What is true about users: state, events, rules. Knows the standard library and msgspec, nothing else."""
