"""Whether a generator memorises: are its poses nearer to those it was trained on than new poses of the source are?"""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.judging.metrics import clouds
from flexpose_ray.pose.distance import nearest_distance

BLOCK = 512  # training poses compared at a time


def nearest_ratio(
    samples_NJ2: np.ndarray, train_NJ2: np.ndarray, held_NJ2: np.ndarray, most: int = 2000, seed: int = 0
) -> float:
    """Median distance of samples to the nearest training pose, over that of held-out poses.

    1 is what new poses have, 0 means copies; below 1 a generator repeats, above it strays from its source. The
    distance of two poses is the mean of their joints'.

    Args:
        samples_NJ2: poses of the generator, crop units.
        train_NJ2: all poses that it was trained on, with their mirror images if it saw those.
        held_NJ2: poses of the source that it was not trained on, from other videos or pictures than those.
        most: samples, and held-out poses, that are judged; memory does not grow with either set.
        seed: draws them, where there are more.

    Raises:
        DataError: an empty set, different joint counts, NaN, or held-out poses most of which are training poses.
    """
    clouds(samples_NJ2, train_NJ2, least=1)
    clouds(held_NJ2, train_NJ2, least=1)
    rng = np.random.default_rng(seed)
    samples, held = (float(np.median(_nearest(_some(x, most, rng), train_NJ2))) for x in (samples_NJ2, held_NJ2))
    if held == 0:
        hint = "hold out poses of other videos or pictures"
        raise DataError("held-out poses", "most of them are training poses", hint)
    return samples / held


def _some(poses_NJ2: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return poses_NJ2 if len(poses_NJ2) <= most else poses_NJ2[rng.choice(len(poses_NJ2), most, replace=False)]


def _nearest(poses_NJ2: np.ndarray, train_MJ2: np.ndarray) -> np.ndarray:
    """Distance of every pose to the nearest training pose, float64 (N,)."""
    nearest_N = np.full(len(poses_NJ2), np.inf)
    for start in range(0, len(train_MJ2), BLOCK):
        np.minimum(nearest_N, nearest_distance(poses_NJ2, train_MJ2[start : start + BLOCK]), out=nearest_N)
    return nearest_N
