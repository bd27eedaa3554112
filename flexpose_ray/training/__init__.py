"""One training step of the networks, their losses, and the loop that methods share. No Ray, no files."""
