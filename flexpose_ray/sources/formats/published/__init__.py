"""The data sets that people publish and everybody compares with."""
