"""Mails: what is sent when, that nothing is lost, and what the links in them do."""
