"""Erasure: from the request that destroys a user's key to a signed certificate that everything is done."""
