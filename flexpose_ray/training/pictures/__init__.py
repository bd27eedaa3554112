"""What learns from pictures: detectors, their supervised twins, and painters of pictures. No Ray, no files."""
