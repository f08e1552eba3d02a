"""The read side: each folder is one read model, rebuilt from the log."""
