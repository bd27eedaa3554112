"""Manifests: what readers see, whoever publishes, in whatever order the shards were committed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from flexpose_ray.dataset.commits import commit_shard
from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.layout import ShardId, plan_shards
from flexpose_ray.dataset.manifest import newest_manifest, publish, read_manifest
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.errors import DataError, StorageError
from flexpose_ray.storage.base import MissingKeyError, Store, read_json
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store
from flexpose_ray.storage.s3 import S3Store
from tests.run_specs import run_spec

RUN = run_spec()
FIRST = "manifests/v00001.json"


def shard_bytes(shard: ShardId) -> bytes:
    index_N = np.arange(shard.rows) + 10 * shard.index
    keypoints_NJ2 = np.full((shard.rows, 15, 2), 0.5, np.float32) + index_N[:, None, None] / 1000
    return encode_shard(index_N, keypoints_NJ2, np.ones((shard.rows, 15)))


def fill(store: Store, count: int, order: int = 1) -> list[ShardId]:
    shards = plan_shards(count, 10)
    for shard in shards[::order]:
        commit_shard(store, shard.index, shard_bytes(shard), {"rows": shard.rows})
    return shards


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list()}


def index(store: Store) -> np.ndarray:
    return np.concatenate([block["index"] for block in PoseReader(store).blocks()])


def test_publish_and_read(store: Store):
    with pytest.raises(MissingKeyError, match="no published data set"):
        read_manifest(store)
    assert newest_manifest(store) is None
    manifest = publish(store, RUN, fill(store, 25))
    assert manifest == read_manifest(store)
    assert manifest.version == 1 and manifest.count == 25 and manifest.run == RUN
    assert [entry.rows for entry in manifest.shards] == [10, 10, 5]
    assert manifest.sha256 == hashlib.sha256(store.get(FIRST)).hexdigest()
    np.testing.assert_array_equal(index(store), np.arange(25))


def test_keys_on_storage(tmp_path):
    store = LocalStore(tmp_path)
    publish(store, RUN, fill(store, 15))
    value = read_json(store, FIRST)
    assert set(value) == {"version", "count", "run", "libraries", "rejects", "shards"}
    assert value["run"] == RUN.to_json() and value["shards"][1] == read_json(store, "commits/00000001-5.json")
    assert store.get(FIRST) == canonical_json(value)


def test_publishing_the_same_again_makes_no_version(store: Store):
    shards = fill(store, 25)
    newest = publish(store, RUN, shards)
    before = contents(store)
    assert publish(store, RUN, shards).version == publish(store, RUN, shards, newest).version == 1
    assert contents(store) == before


def test_publishing_what_is_not_committed(store: Store):
    fill(store, 10)
    with pytest.raises(MissingKeyError, match=r"commits/00000001-10\.json"):
        publish(store, RUN, plan_shards(20, 10))
    assert store.list("manifests/") == []


def test_publishers_that_race_agree(store: Store):
    shards = fill(store, 25)
    with ThreadPoolExecutor(4) as pool:
        assert {made.version for made in pool.map(lambda _: publish(store, RUN, shards), range(4))} == {1}


@pytest.mark.parametrize("known", [True, False])
def test_growth_adds_a_version_and_keeps_the_old_one_whole(store: Store, known: bool):
    newest = publish(store, RUN, fill(store, 25))
    before = contents(store)
    assert publish(store, RUN, fill(store, 43), newest if known else None).version == 2
    after = contents(store)
    assert {key: after[key] for key in before} == before
    added = sorted(set(after) - set(before))
    assert [key for key in added if key.startswith("commits/")] == [
        "commits/00000002-10.json", "commits/00000003-10.json", "commits/00000004-3.json",
    ]  # fmt: skip
    np.testing.assert_array_equal(index(store), np.arange(43))


def test_a_publisher_who_knows_an_old_version_adds_to_the_newest(store: Store):
    first = publish(store, RUN, fill(store, 25))
    publish(store, RUN, fill(store, 43), first)
    assert publish(store, RUN, fill(store, 60), first).version == 3 == read_manifest(store).version


def test_bytes_depend_neither_on_order_nor_on_the_kind_of_store(tmp_path, s3_uri: str):
    stores = [open_store(tmp_path / "a"), open_store(s3_uri)]
    for store, order in zip(stores, (1, -1), strict=True):
        RUN.pin(store)
        publish(store, RUN, fill(store, 43, order))
    assert isinstance(stores[1], S3Store) and contents(stores[0]) == contents(stores[1])


def test_a_shard_with_other_bytes_is_not_read(store: Store):
    manifest = publish(store, RUN, fill(store, 43))
    store.put(manifest.shards[1].shard, b"damaged")
    with pytest.raises(DataError, match=r"00000001-.*other bytes than were committed.*flexpose repair"):
        index(store)
    store.delete(manifest.shards[1].shard)
    with pytest.raises(MissingKeyError, match=r"00000001-.*it is missing.*flexpose repair"):
        index(store)


def test_the_manifest_sums_what_the_gate_rejected(store: Store):
    shards = plan_shards(25, 10)
    for shard, rejects in zip(shards, ({"limbs": 2, "copy": 1}, {}, {"limbs": 3}), strict=True):
        commit_shard(store, shard.index, shard_bytes(shard), {"rows": shard.rows, "rejects": rejects})
    assert publish(store, RUN, shards).rejects == {"limbs": 5, "copy": 1}


@pytest.mark.parametrize("broken", [b"{", b"[]", b"\xff", b'{"count": NaN}', b"[" * 100_000])
def test_broken_json_is_named(store: Store, broken: bytes):
    store.put(FIRST, broken)
    with pytest.raises(StorageError, match=r"manifests/v00001.json: .*JSON") as error:
        read_manifest(store)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("count",), "many", "count is 'many', not an integer"),
        (("shards",), {}, r"shards is \{\}, not a list"),
        (("run", "seed"), None, "run.seed is None, not an integer"),
        (("run", "format"), 1, "run.format is 1, this version reads 2"),
        (("shards", 1), 5, r"shards\.1 is 5, not an object"),
        (("shards", 1, "sha256"), 5, r"shards\.1\.sha256 is 5, not a string"),
        (("shards", 1, "stats", "drawn"), None, r"shards\.1\.stats\.drawn is None, not an integer"),
        (("shards", 1, "stats", "rejects"), {"limbs": "2"}, r"shards\.1\.stats\.rejects\.limbs is '2', not an integer"),
        (("shards",), [], "25 poses in 0 shards"),
        (("count",), -1, "-1 poses in 3 shards"),
        (("rejects", "limbs"), "2", r"rejects\.limbs is '2', not an integer"),
        (("owner",), "me", "owner is unknown to this version"),
    ],
)
def test_damage_is_one_line_that_names_file_and_key(tmp_path, path: tuple, value: object, problem: str):
    store = LocalStore(tmp_path)
    publish(store, RUN, fill(store, 25))
    manifest = read_json(store, FIRST)
    inner = manifest
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    store.put(FIRST, canonical_json(manifest))
    with pytest.raises(DataError, match=rf"v00001\.json: {problem} \(") as error:
        read_manifest(store)
    assert "\n" not in str(error.value)
