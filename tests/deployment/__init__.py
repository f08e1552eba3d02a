"""The files by which the service is deployed, held against the service itself."""
