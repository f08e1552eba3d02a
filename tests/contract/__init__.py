"""The HTTP contract from outside: the document against the service, and old clients against both."""
