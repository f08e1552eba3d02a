"""A storm over the readers of the log: writers, faults, readers, and a judge who was not there."""
