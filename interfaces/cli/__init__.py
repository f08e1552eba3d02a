"""The command line, `usersd`."""
