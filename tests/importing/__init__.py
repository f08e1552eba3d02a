"""Accounts that come from elsewhere."""
