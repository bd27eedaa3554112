"""Detectors under Ray Train: learned from pictures without annotations and from poses, and judged."""
