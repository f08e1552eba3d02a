"""What operators and developers have done by the command line."""
