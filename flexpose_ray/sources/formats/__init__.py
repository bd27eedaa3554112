"""A reader for each format of annotations; `flexpose_ray.sources` explains how to add one."""
