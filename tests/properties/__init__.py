"""What holds for every input that hypothesis can think of."""
