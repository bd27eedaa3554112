"""The commit protocol: once and for all, whoever writes, in whatever order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flexpose_ray.dataset import manifest as m
from flexpose_ray.dataset.manifest import ShardId
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.errors import ConfigError, DataError, NonDeterminismError, StorageError
from flexpose_ray.storage.base import MissingKeyError, Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store
from flexpose_ray.storage.s3 import S3Store

RUN = {"generator": "abc", "seed": 7, "shard_size": 10, "images": False, "alpha": {"size": 64, "channels": 3}}


def shard_bytes(shard: ShardId, shift: float = 0.0) -> bytes:
    index_N = np.arange(shard.rows) + 10 * shard.index
    keypoints_NJ2 = np.full((shard.rows, 15, 2), 0.5 + shift, np.float32) + index_N[:, None, None] / 1000
    return encode_shard(index_N, keypoints_NJ2, np.ones((shard.rows, 15)))


def fill(store: Store, count: int, order: int = 1) -> list[ShardId]:
    shards = m.plan_shards(count, 10)
    for shard in shards[::order]:
        m.commit_shard(store, shard.index, shard_bytes(shard), {"rows": shard.rows})
    return shards


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list()}


def test_plan():
    assert m.plan_shards(25, 10) == [(0, 10), (1, 10), (2, 5)]
    assert m.plan_shards(20, 10) == [(0, 10), (1, 10)]
    assert m.plan_shards(3, 10) == [(0, 3)]


def test_canonical_json():
    assert m.canonical_json({"b": 1, "a": [None, 0.5]}) == b'{"a":[null,0.5],"b":1}\n'
    with pytest.raises(ValueError):
        m.canonical_json({"a": float("nan")})


def test_pin_run_names_all_that_differs(store: Store):
    m.pin_run(store, RUN)
    m.pin_run(store, dict(reversed(RUN.items())))
    other = RUN | {"seed": 8, "alpha": {"size": 128, "channels": 3}, "gate": None}
    with pytest.raises(ConfigError) as error:
        m.pin_run(store, other)
    text = str(error.value)
    assert "seed was 7 and is now 8" in text and "alpha.size was 64 and is now 128" in text
    assert "gate was absent and is now None" in text and "channels" not in text and "continue" in error.value.hint
    assert store.uri in text


def test_pin_run_refuses_a_server_without_conditional_writes(tmp_path):
    class Careless(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            self.put(key, data)
            return True

    with pytest.raises(StorageError, match="conditional writes"):
        m.pin_run(Careless(tmp_path), RUN)


def test_commit_once(store: Store):
    shard = ShardId(3, 10)
    sha256 = m.commit_shard(store, 3, shard_bytes(shard), {"rows": 10})
    before = contents(store)
    assert m.commit_shard(store, 3, shard_bytes(shard), {"rows": 10}) == sha256
    with pytest.raises(NonDeterminismError, match=sha256[:16]):
        m.commit_shard(store, 3, shard_bytes(shard, 0.1), {"rows": 10})
    assert contents(store) == before, "the loser leaves nothing behind"
    assert m.committed(store) == {shard}
    (commit,) = m.read_commits(store, [shard])
    assert commit["sha256"] == sha256 and commit["shard"] == f"shards/00000003-{sha256[:16]}.parquet"
    assert commit["bytes"] == len(shard_bytes(shard)) and commit["stats"] == {"rows": 10}


def test_writers_that_race_with_other_bytes_have_one_winner(store: Store):
    def write(shift: float) -> str | None:
        try:
            return m.commit_shard(store, 0, shard_bytes(ShardId(0, 10), shift), {"rows": 10})
        except NonDeterminismError:
            return None

    with ThreadPoolExecutor(4) as pool:
        won = [sha256 for sha256 in pool.map(write, [0.1, 0.2, 0.3, 0.4]) if sha256]
    (commit,) = m.read_commits(store, [ShardId(0, 10)])
    assert won == [commit["sha256"]] and store.list("shards/") == [commit["shard"]]


def test_publish_and_read(store: Store):
    with pytest.raises(MissingKeyError, match="no published data set"):
        m.read_manifest(store)
    m.pin_run(store, RUN)
    manifest = m.publish(store, fill(store, 25))
    assert manifest == m.read_manifest(store)
    assert manifest["version"] == 1 and manifest["count"] == 25 and manifest["run"] == RUN
    assert [entry["rows"] for entry in manifest["shards"]] == [10, 10, 5]
    index = np.concatenate([shard["index"] for shard in m.iter_shards(store)])
    np.testing.assert_array_equal(index, np.arange(25))


def test_publishing_the_same_again_makes_no_version(store: Store):
    m.pin_run(store, RUN)
    shards = fill(store, 25)
    m.publish(store, shards)
    before = contents(store)
    assert m.publish(store, shards)["version"] == 1
    assert contents(store) == before


def test_publishing_what_is_not_committed(store: Store):
    m.pin_run(store, RUN)
    fill(store, 10)
    with pytest.raises(MissingKeyError, match=r"commits/00000001-10\.json"):
        m.publish(store, m.plan_shards(20, 10))
    assert store.list("manifests/") == []


def test_publishers_that_race_agree(store: Store):
    m.pin_run(store, RUN)
    shards = fill(store, 25)
    with ThreadPoolExecutor(4) as pool:
        assert {made["version"] for made in pool.map(lambda _: m.publish(store, shards), range(4))} == {1}


def test_growth_adds_a_version_and_keeps_the_old_one_whole(store: Store):
    m.pin_run(store, RUN)
    m.publish(store, fill(store, 25))
    before = contents(store)
    assert m.publish(store, fill(store, 43))["version"] == 2
    after = contents(store)
    assert {key: after[key] for key in before} == before
    added = sorted(set(after) - set(before))
    assert [key for key in added if key.startswith("commits/")] == [
        "commits/00000002-10.json", "commits/00000003-10.json", "commits/00000004-3.json",
    ]  # fmt: skip
    index = np.concatenate([shard["index"] for shard in m.iter_shards(store)])
    np.testing.assert_array_equal(index, np.arange(43))


def test_bytes_depend_neither_on_order_nor_on_the_kind_of_store(tmp_path, s3_uri: str):
    stores = [open_store(tmp_path / "a"), open_store(s3_uri)]
    for store, order in zip(stores, (1, -1), strict=True):
        m.pin_run(store, RUN)
        m.publish(store, fill(store, 43, order))
    assert isinstance(stores[1], S3Store) and contents(stores[0]) == contents(stores[1])


def test_a_shard_with_other_bytes_is_not_read(store: Store):
    m.pin_run(store, RUN)
    manifest = m.publish(store, fill(store, 43))
    store.put(manifest["shards"][1]["shard"], b"damaged")
    with pytest.raises(DataError, match=r"00000001-.*other bytes than were committed.*flexpose repair"):
        list(m.iter_shards(store))


def test_the_manifest_sums_what_the_gate_rejected(store: Store):
    m.pin_run(store, RUN)
    shards = m.plan_shards(25, 10)
    for shard, rejects in zip(shards, ({"limbs": 2, "copy": 1}, {}, {"limbs": 3}), strict=True):
        m.commit_shard(store, shard.index, shard_bytes(shard), {"rows": shard.rows, "rejects": rejects})
    assert m.publish(store, shards)["rejects"] == {"limbs": 5, "copy": 1}


def test_the_log_keeps_every_call(store: Store):
    assert m.read_log(store) == []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: m.log_call(store, {"poses": n}), range(4)))
    assert sorted(note["poses"] for note in m.read_log(store)) == [0, 1, 2, 3]


@pytest.mark.parametrize("broken", [b"{", b"[]", b"\xff"])
def test_broken_json_is_named(store: Store, broken: bytes):
    store.put("manifests/v00001.json", broken)
    with pytest.raises(StorageError, match=r"manifests/v00001.json: .*JSON") as error:
        m.read_manifest(store)
    assert "\n" not in str(error.value)
