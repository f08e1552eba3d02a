"""Tests, fast at the bottom, real at the top."""
