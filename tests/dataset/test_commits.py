"""Commits: once and for all, whoever writes, in whatever order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flexpose_ray.dataset.commits import ShardEntry, commit_shard, committed, read_commit, read_commits
from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.layout import ShardId, plan_shards
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.errors import DataError, NonDeterminismError, StorageError
from flexpose_ray.storage.base import MissingKeyError, Store
from flexpose_ray.storage.local import LocalStore


def shard_bytes(shift: float = 0.0) -> bytes:
    return encode_shard(np.arange(10), np.full((10, 15, 2), 0.5 + shift, np.float32), np.ones((10, 15)))


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list()}


def test_plan():
    assert plan_shards(25, 10) == [(0, 10), (1, 10), (2, 5)]
    assert plan_shards(20, 10) == [(0, 10), (1, 10)]
    assert plan_shards(3, 10) == [(0, 3)]


def test_canonical_json():
    assert canonical_json({"b": 1, "a": [None, 0.5]}) == b'{"a":[null,0.5],"b":1}\n'
    with pytest.raises(ValueError):
        canonical_json({"a": float("nan")})


def test_commit_once(store: Store):
    entry = commit_shard(store, 3, shard_bytes(), {"rows": 10})
    before = contents(store)
    assert commit_shard(store, 3, shard_bytes(), {"rows": 10}) == entry
    with pytest.raises(NonDeterminismError, match=entry.sha256[:16]):
        commit_shard(store, 3, shard_bytes(0.1), {"rows": 10})
    assert contents(store) == before, "the loser leaves nothing behind"
    assert committed(store) == {ShardId(3, 10)} == {entry.id}
    assert read_commits(store, [entry.id]) == [entry]
    assert entry.shard == f"shards/00000003-{entry.sha256[:16]}.parquet"
    assert entry.bytes == len(shard_bytes()) and entry.stats == {"rows": 10}
    assert entry.read_bytes(store) == shard_bytes()


def test_writers_that_race_with_other_bytes_have_one_winner(store: Store):
    def write(shift: float) -> str | None:
        try:
            return commit_shard(store, 0, shard_bytes(shift), {"rows": 10}).sha256
        except NonDeterminismError:
            return None

    with ThreadPoolExecutor(4) as pool:
        won = [sha256 for sha256 in pool.map(write, [0.1, 0.2, 0.3, 0.4]) if sha256]
    (commit,) = read_commits(store, [ShardId(0, 10)])
    assert won == [commit.sha256] and store.list("shards/") == [commit.shard]


def test_other_bytes_are_not_read(tmp_path):
    store = LocalStore(tmp_path)
    entry = commit_shard(store, 1, shard_bytes(), {"rows": 10})
    store.put(entry.shard, b"damaged")
    with pytest.raises(DataError, match=r"00000001-.*other bytes than were committed.*flexpose repair"):
        entry.read_bytes(store)
    store.delete(entry.shard)
    with pytest.raises(MissingKeyError):
        entry.read_bytes(store)


def test_bytes_of_a_commit_are_those_of_earlier_versions(tmp_path):
    store = LocalStore(tmp_path)
    written = b'{"bytes":9,"index":2,"rows":10,"sha256":"ab","shard":"shards/x","stats":{"drawn":10,"rows":10}}\n'
    store.put(ShardId(2, 10).commit_key, written)
    entry = read_commit(store, ShardId(2, 10))
    assert entry == ShardEntry(2, 10, "shards/x", "ab", 9, {"drawn": 10, "rows": 10})
    assert canonical_json(entry.to_json()) == written


@pytest.mark.parametrize(
    ("data", "problem"),
    [(b"{", "broken JSON"), (b"{}", "bytes is missing"), (b'{"sha256": "0"}', "bytes is missing")],
)
def test_a_damaged_commit_is_one_line(tmp_path, data: bytes, problem: str):
    store = LocalStore(tmp_path)
    store.put(ShardId(0, 10).commit_key, data)
    for use in (
        lambda: read_commit(store, ShardId(0, 10)),
        lambda: commit_shard(store, 0, shard_bytes(), {"rows": 10}),
    ):
        with pytest.raises((DataError, StorageError), match=rf"00000000-10\.json: {problem}") as error:
            use()
        assert "\n" not in str(error.value)
