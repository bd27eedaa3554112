"""A small generated data set, made without a generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from flexpose_ray.core.alpha import Alpha
from flexpose_ray.io.manifest import commit_shard, pin_run, plan_shards, publish
from flexpose_ray.io.pictures import draw_images
from flexpose_ray.io.shards import encode_shard
from flexpose_ray.io.store import Store

MakeDataset = Callable[..., np.ndarray]
STRIDE = 2**40


@pytest.fixture
def make_dataset() -> MakeDataset:
    """``make_dataset(store, count, images=None, skeleton="body_15")`` publishes it and returns its keypoints_NJ2.

    Shards have ten poses. Every seventh pose stands in for a rejected one, whose address it has no more.
    """

    def make(store: Store, count: int, images: str | None = None, skeleton: str = "body_15") -> np.ndarray:
        alpha = Alpha(skeleton, size=16)
        n_joints = alpha.skeleton.n_joints
        keypoints_NJ2 = np.random.default_rng(0).uniform(0.1, 0.9, (count, n_joints, 2)).astype(np.float32)
        index_N = np.arange(count)
        index_N[::7] += STRIDE
        run = {"generator": "ab" * 32, "seed": 7, "skeleton": skeleton, "shard_size": 10, "images": images}
        pin_run(store, run | {"alpha": alpha.config if images else None})
        shards = plan_shards(count, 10)
        for shard in shards:
            rows = slice(shard.index * 10, shard.index * 10 + shard.rows)
            drawn = draw_images(keypoints_NJ2[rows], alpha, images) if images else None
            confidence_NJ = np.full((shard.rows, n_joints), 0.5)
            data = encode_shard(index_N[rows], keypoints_NJ2[rows], confidence_NJ, drawn)
            commit_shard(store, shard.index, data, {"rows": shard.rows})
        publish(store, shards)
        return keypoints_NJ2

    return make
