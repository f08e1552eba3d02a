"""How the outside talks to the service."""
