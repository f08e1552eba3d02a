"""How the other services of a platform talk to this one: gRPC."""
