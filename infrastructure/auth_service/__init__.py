"""The platform's Auth service in the place of our own tokens, and whom it has to hear of."""
