"""Checking a data set against its records, and clearing what no record names."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.dataset.commits import commit_shard, committed
from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.garbage import leftovers, remove
from flexpose_ray.dataset.layout import MODEL, ShardId, plan_shards
from flexpose_ray.dataset.manifest import Manifest, manifest_keys, publish, read_manifest
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.dataset.verify import verify
from flexpose_ray.models.generators import copy_model
from flexpose_ray.storage.base import MissingKeyError, Store, read_json
from tests.run_specs import run_spec


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


@pytest.fixture
def data_set(store: Store, tiny_generator: str) -> Store:
    """43 poses in five shards."""
    run_spec(generator=copy_model(tiny_generator, store.child(MODEL))).pin(store)
    grow(store, 43)
    return store


def test_a_sound_data_set(data_set: Store):
    told = []
    assert verify(data_set, lambda *at: told.append(at)) == []
    assert told == [(5, 5)]


def test_nothing_published(store: Store):
    with pytest.raises(MissingKeyError, match="no published data set"):
        verify(store)


def test_every_damage_is_named(data_set: Store):
    keys = [entry.shard for entry in read_manifest(data_set).shards]
    flipped = bytearray(data_set.get(keys[0]))
    flipped[100] ^= 1
    data_set.put(keys[0], bytes(flipped))
    data_set.put(keys[1], data_set.get(keys[1])[:-1])
    data_set.delete(keys[2])
    data_set.delete(ShardId(3, 10).commit_key)
    data_set.put(ShardId(4, 3).commit_key, b'{"sha256": "0"}')
    other = "other bytes than were committed"
    assert [(found.shard.index, found.key, found.problem) for found in verify(data_set)] == [
        (0, keys[0], other), (1, keys[1], other), (2, keys[2], "missing"),
        (3, ShardId(3, 10).commit_key, "missing"), (4, ShardId(4, 3).commit_key, "differs from the manifest"),
    ]  # fmt: skip


def test_swapped_shards_are_both_named(data_set: Store):
    one, two = (entry.shard for entry in read_manifest(data_set).shards[1:3])
    first, second = data_set.get(one), data_set.get(two)
    data_set.put(one, second)
    data_set.put(two, first)
    assert [found.key for found in verify(data_set)] == [one, two]


def test_a_model_that_is_damaged_or_another(data_set: Store):
    head = data_set.get("model/model.json")
    data_set.put("model/model.json", head.replace(b'"sha256": "', b'"sha256": "0'))
    (found,) = verify(data_set)
    assert found.shard is None and found.key == "model" and "damaged" in found.problem
    data_set.delete("model/model.json")
    assert [found.key for found in verify(data_set)] == ["model"]


def test_a_manifest_with_a_shard_left_out(data_set: Store):
    key = manifest_keys(data_set)[-1]
    manifest = read_json(data_set, key)
    del manifest["shards"][2]
    data_set.put(key, canonical_json(manifest))
    assert [(found.key, found.problem) for found in verify(data_set)] == [(key, "its shards do not make up its poses")]


def test_a_sound_data_set_has_no_leftovers(data_set: Store):
    assert leftovers(data_set) == []


def test_what_growth_and_killed_writers_leave(data_set: Store):
    short = read_manifest(data_set).shards[4]
    grow(data_set, 60)
    data_set.put("shards/00000002-0123456789abcdef.parquet", b"put, never committed")
    commit(data_set, ShardId(6, 10))  # of a growth that goes on
    found = leftovers(data_set)
    assert found == sorted(
        [short.shard, ShardId(4, 3).commit_key, "manifests/v00001.json", "shards/00000002-0123456789abcdef.parquet"]
    )
    remove(data_set, found)
    assert leftovers(data_set) == [] and verify(data_set) == []
    assert ShardId(6, 10) in committed(data_set)
    assert read_manifest(data_set).count == 60


def test_files_that_were_never_finished(data_set: Store, tmp_path):
    if data_set.uri.startswith("s3://"):
        pytest.skip("a bucket holds none")
    temp = tmp_path / "store" / "shards" / ".tmp-0123"
    temp.write_bytes(b"half a sha")
    assert leftovers(data_set) == ["shards/.tmp-0123"] and "shards/.tmp-0123" not in data_set.list()
    remove(data_set, leftovers(data_set))
    assert not temp.exists() and verify(data_set) == []


def test_without_a_manifest_nothing_is_a_leftover(store: Store):
    store.put("shards/00000002-0123456789abcdef.parquet", b"perhaps just being committed")
    with pytest.raises(MissingKeyError):
        leftovers(store)
