"""Deleting, sweeping and erasing, on real servers."""
