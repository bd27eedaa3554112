"""Checking a data set against its own records."""

from __future__ import annotations

import pytest

from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.manifest import manifest_keys, read_manifest
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.base import MissingKeyError, Store, read_json


def test_a_sound_data_set(data_set: Store):
    steps = []
    assert verify(data_set, lambda *at: steps.append(at)) == []
    assert steps == [(5, 5)]


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
