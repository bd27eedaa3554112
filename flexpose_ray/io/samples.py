"""Generated data sets, read back."""

from __future__ import annotations

import numpy as np

from flexpose_ray.io.manifest import iter_shards
from flexpose_ray.io.store import Store


def first_poses(store: Store, count: int) -> np.ndarray:
    """The first ``count`` poses of a data set, or all where it has fewer: keypoints_NJ2, crop units.

    Raises:
        StorageError: no data set there.
        DataError: a shard is damaged.
    """
    parts, have = [], 0
    for shard in iter_shards(store):
        parts.append(shard["keypoints"])
        have += len(parts[-1])
        if have >= count:
            break
    return np.concatenate(parts)[:count]
