"""Reading one file of a format as `flexpose prepare` does, options and all."""

from __future__ import annotations

from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.sources.read import read_source


def read(kind, path, mapping=None, **options):
    """The poses and the report of ``KIND:PATH``."""
    return read_source(f"{kind}:{path}", mapping, **options)


def joints(kind, path, row=0, mapping=None, **options):
    """One pose as joint -> (x, y) in the file's pixels, rounded to a hundredth."""
    poses, _ = read(kind, path, mapping, **options)
    pixels_J2 = uncrop(poses.keypoints_NJ2, poses.crop_N3)[row]
    return {
        joint: tuple(round(float(v), 2) for v in xy) for joint, xy in zip(poses.skeleton.joints, pixels_J2, strict=True)
    }
