"""`flexpose doctor` and `flexpose submit`."""
