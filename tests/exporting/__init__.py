"""Taking accounts and the log out, and bringing a log in, on real servers."""
