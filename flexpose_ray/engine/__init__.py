"""All work on Ray, a folder a kind of work."""
