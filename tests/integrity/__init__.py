"""Tests of the log's integrity: what manipulation is found, and what becomes of a restored backup."""
