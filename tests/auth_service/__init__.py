"""The service with the tokens of a real Auth service over gRPC."""
