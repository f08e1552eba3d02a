"""What leaves the service whole: its accounts, and its log; and how a log comes in."""
