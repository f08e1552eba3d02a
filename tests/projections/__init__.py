"""The read side on real databases: what it folds, who may write it, what stops it, how it is rebuilt."""
