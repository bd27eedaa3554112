"""A data set as Ray Data reads it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import flexpose_ray
from flexpose_ray.dataset.commits import commit_shard
from flexpose_ray.dataset.layout import plan_shards
from flexpose_ray.dataset.manifest import publish
from flexpose_ray.dataset.shards import encode_shard, shard_schema
from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.open import open_store
from tests.run_specs import run_spec

COUNT = 64


@pytest.fixture
def keypoints_NJ2(s3_uri: str) -> np.ndarray:
    """Poses of a data set at ``s3_uri``, in shards of ten."""
    store = open_store(s3_uri)
    poses_NJ2 = np.random.default_rng(0).random((COUNT, 15, 2), np.float32)
    for index, rows in plan_shards(COUNT, 10):
        index_N = np.arange(rows) + 10 * index
        data = encode_shard(index_N, poses_NJ2[index_N], np.ones((rows, 15)))
        commit_shard(store, index, data, {"rows": rows})
    publish(store, run_spec(), plan_shards(COUNT, 10))
    return poses_NJ2


@pytest.mark.slow
def test_workers_read_plain_columns(ray_cluster, s3_uri: str, keypoints_NJ2: np.ndarray):
    poses = flexpose_ray.open_dataset(s3_uri).to_ray()
    assert poses.count() == COUNT
    schema = poses.schema()
    assert dict(zip(schema.names, schema.types, strict=True)) == {
        f.name: f.type for f in shard_schema(15, images=False)
    }
    batches = list(poses.iter_torch_batches(batch_size=9))
    index_N = torch.cat([batch["index"] for batch in batches]).numpy()
    assert sorted(index_N) == list(range(COUNT))
    found_NJ2 = torch.cat([batch["keypoints"] for batch in batches]).reshape(-1, 15, 2).numpy()
    np.testing.assert_array_equal(found_NJ2, keypoints_NJ2[index_N])


@pytest.mark.slow
def test_some_columns(ray_cluster, s3_uri: str, keypoints_NJ2: np.ndarray):
    (batch,) = flexpose_ray.open_dataset(s3_uri).to_ray(["confidence"]).iter_torch_batches(batch_size=COUNT)
    assert {name: column.shape for name, column in batch.items()} == {"confidence": (COUNT, 15)}


@pytest.mark.slow
def test_a_worker_finds_damage(ray_cluster, s3_uri: str, keypoints_NJ2: np.ndarray):
    poses = flexpose_ray.open_dataset(s3_uri)
    poses.store.put(poses.shards[3].shard, b"damaged")
    with pytest.raises(Exception, match="other bytes than were committed"):
        poses.to_ray().count()


def test_an_unknown_column_is_refused_before_ray_starts(s3_uri: str, keypoints_NJ2: np.ndarray):
    with pytest.raises(ConfigError, match="'image'"):
        flexpose_ray.open_dataset(s3_uri).to_ray(["image"])
