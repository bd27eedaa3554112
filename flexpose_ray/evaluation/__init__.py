"""A data set beside the simple methods, and the split of a target into shots and held-out poses. No Ray."""
