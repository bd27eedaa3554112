"""A data set that grows by shards of ten poses."""

from __future__ import annotations

import numpy as np

from flexpose_ray.dataset.commits import commit_shard, committed
from flexpose_ray.dataset.layout import ShardId, plan_shards
from flexpose_ray.dataset.manifest import Manifest, publish
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.storage.base import Store


def commit(store: Store, shard: ShardId) -> None:
    index_N = np.arange(shard.rows) + 10 * shard.index
    keypoints_NJ2 = np.full((shard.rows, 15, 2), 0.5, np.float32) + index_N[:, None, None] / 1000
    data = encode_shard(index_N, keypoints_NJ2, np.ones((shard.rows, 15)))
    commit_shard(store, shard.index, data, {"rows": shard.rows})


def grow(store: Store, count: int) -> Manifest:
    """Add shards up to ``count`` poses and publish."""
    shards = plan_shards(count, 10)
    for shard in set(shards) - committed(store):
        commit(store, shard)
    return publish(store, RunSpec.read(store), shards)
