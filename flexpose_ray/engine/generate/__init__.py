"""`flexpose generate`: plan needs no Ray, run feeds the actors of stages one shard at a time."""
