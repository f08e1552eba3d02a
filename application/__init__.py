"""What callers may ask of the service; knows ports, never adapters."""
