"""Technology that implements the ports, and the wiring."""
