"""What a running service tells of itself: metrics when asked, traces and a daily word where wanted."""
