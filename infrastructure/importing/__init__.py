"""Accounts that come from elsewhere: what they are read from, and the run that brings them in."""
