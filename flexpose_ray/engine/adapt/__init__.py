"""`flexpose adapt`: one target in this process, or many, a Ray task each."""
