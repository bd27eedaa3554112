"""Clearing a data set of what no record names."""

from __future__ import annotations

import pytest

from flexpose_ray.dataset.commits import committed
from flexpose_ray.dataset.garbage import leftovers, remove
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.base import MissingKeyError, Store
from tests.dataset.growth import commit, grow


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
