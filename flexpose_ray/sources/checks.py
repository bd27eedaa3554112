"""Whether poses look as people do: which way up they are, which side is left, and whether joints are where they belong."""

from __future__ import annotations

import numpy as np

from flexpose_ray.pose.sets import PoseSet


def check(poses: PoseSet, outside: float | None = None) -> tuple[dict[str, float], tuple[str, ...]]:
    return {}, ()
