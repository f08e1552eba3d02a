"""The other services of the platform, small and real: gRPC and HTTP servers that a test starts and kills."""
