"""A storm over a whole deployment: clients, roles, servers, faults, and a judge who believes nobody."""
