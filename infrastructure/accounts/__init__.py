"""What guards accounts: credentials, hashing, limits on attempts, the security log, service accounts."""
