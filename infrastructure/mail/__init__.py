"""Mails that follow from events: kept until they are handed over, sent again where that is in doubt."""
