"""What operators have done: one adapter for each port of the command line."""
