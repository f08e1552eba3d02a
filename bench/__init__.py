"""One command, one table of ratios."""
