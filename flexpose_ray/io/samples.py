"""The first poses of a generated data set, for what wants a few thousand of them at once."""

from __future__ import annotations

import numpy as np

from flexpose_ray.io.dataset import PoseDataset
from flexpose_ray.io.store import Store


def first_poses(store: Store, count: int) -> np.ndarray:
    """The first ``count`` poses of a data set, or all where it has fewer: keypoints_NJ2, crop units.

    Raises:
        StorageError: no data set there.
        DataError: a shard is damaged.
    """
    return np.concatenate([block["keypoints"] for block in PoseDataset(store).blocks(0, count, images=False)])
