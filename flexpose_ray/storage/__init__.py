"""Folders and S3 buckets behind one small interface with conditional writes."""
