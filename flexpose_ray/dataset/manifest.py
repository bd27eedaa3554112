"""The commit protocol of a data set: which shards it has, once and for all, whoever wrote them in whatever order.

    run.json                          what every pose depends on; pinned by the first command, compared by later ones
    model/                            the generator, so that the data set can be checked, mended and grown by itself
    shards/<index>-<sha16>.parquet    named by their content: writing one twice changes nothing
    commits/<index>-<rows>.json       put if absent: a shard counts from here on, with these bytes and no others
    manifests/v<number>.json          put if absent: the shards that readers see; the newest manifest is the data set
    log/<number>.json                 what every call did and how long it took

A shard's identity is its index and its number of rows, since the last shard of a data set may be shorter: when the
data set grows, that shard is rendered again in full, beside the short one that older manifests still name.
Nothing but the log and the model's card holds a time, a host or a path, so two runs of one command leave the same
bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as installed
from typing import Any, NamedTuple

import numpy as np

from flexpose_ray.canonical import canonical_text
from flexpose_ray.dataset.shards import decode_shard
from flexpose_ray.errors import ConfigError, DataError, NonDeterminismError, StorageError
from flexpose_ray.storage.base import MissingKeyError, Store, read_json

RUN_KEY = "run.json"
MODEL = "model"  # where in a data set its generator lies
LIBRARIES = ("flexpose-ray", "numpy", "opencv-python-headless", "pyarrow", "torch")  # bytes may differ between versions
READERS = 4  # shards or commits in flight at a time


class ShardId(NamedTuple):
    """Shard ``index`` of ``rows`` poses."""

    index: int
    rows: int

    @property
    def commit_key(self) -> str:
        return f"commits/{self.index:08d}-{self.rows}.json"


def plan_shards(count: int, shard_size: int) -> list[ShardId]:
    """The shards that make up ``count`` poses; the last one may be shorter."""
    return [ShardId(i, min(shard_size, count - i * shard_size)) for i in range(-(-count // shard_size))]


def canonical_json(value: Any) -> bytes:
    """One rendering a value: sorted keys, no spaces, no NaN."""
    return canonical_text(value).encode() + b"\n"


def sha256_of(manifest: dict[str, Any]) -> str:
    """Hash of a manifest as it lies on storage."""
    return hashlib.sha256(canonical_json(manifest)).hexdigest()


def pin_run(store: Store, run: dict[str, Any]) -> None:
    """Record what the data set depends on, or check that it is what was recorded.

    Raises:
        ConfigError: the data set was started with other values; all of them are named.
        StorageError: the server ignores conditional writes, on which the protocol rests.
    """
    data = canonical_json(run)
    if store.put_if_absent(RUN_KEY, data) and store.put_if_absent(RUN_KEY, data):
        problem = "the server overwrites an object although it was told not to (If-None-Match: *)"
        raise StorageError(store.uri, problem, "use a server with conditional writes, or a folder")
    told = _differences(read_json(store, RUN_KEY), json.loads(data))
    if told:
        hint = "repeat the first command's values to continue it, or choose another place for a new data set"
        raise ConfigError(f"{store.uri}/{RUN_KEY}", f"belongs to another run: {'; '.join(told)}", hint)


def commit_shard(store: Store, shard_index: int, data: bytes, stats: dict[str, Any]) -> str:
    """Write a shard and commit it; the same bytes again are fine.

    Args:
        store: the data set.
        shard_index: which shard.
        data: its Parquet bytes.
        stats: ``rows`` and whatever else later steps want to know without opening the shard, such as the gate's
            ``rejects`` by reason; JSON values.

    Returns:
        The bytes' sha256.

    Raises:
        NonDeterminismError: the shard is committed with other bytes. The earlier ones stay.
    """
    shard = ShardId(shard_index, stats["rows"])
    sha256 = hashlib.sha256(data).hexdigest()
    key = f"shards/{shard_index:08d}-{sha256[:16]}.parquet"
    commit = {"index": shard.index, "rows": shard.rows, "shard": key, "sha256": sha256, "bytes": len(data)}
    store.put(key, data)
    if store.put_if_absent(shard.commit_key, canonical_json(commit | {"stats": stats})):
        return sha256
    before = read_json(store, shard.commit_key)["sha256"]
    if before != sha256:
        store.delete(key)
        problem = f"committed with sha256 {before[:16]}, rendered again with {sha256[:16]}"
        hint = "continue with the same library versions on the same kind of machine, or start a new data set"
        raise NonDeterminismError(f"{store.uri}/{shard.commit_key}", problem, hint)
    return sha256


def committed(store: Store) -> set[ShardId]:
    """All committed shards, from one listing."""
    names = (re.fullmatch(r"commits/(\d+)-(\d+)\.json", key) for key in store.iter_keys("commits/"))
    return {ShardId(int(name[1]), int(name[2])) for name in names if name}


def read_commits(store: Store, shards: Iterable[ShardId]) -> list[dict[str, Any]]:
    """The commits of ``shards``, in that order.

    Raises:
        MissingKeyError: one of them is not committed.
    """
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda shard: read_json(store, shard.commit_key), shards))


def log_call(store: Store, entry: dict[str, Any]) -> None:
    """Note what a call did, beside the notes of earlier ones."""
    number = len(store.list("log/")) + 1
    while not store.put_if_absent(f"log/{number:05d}.json", canonical_json(entry)):
        number += 1


def read_log(store: Store) -> list[dict[str, Any]]:
    """The notes of all calls, in their order."""
    return [read_json(store, key) for key in store.list("log/")]


def publish(store: Store, shards: list[ShardId]) -> dict[str, Any]:
    """Make ``shards``, all committed, the data set that readers see.

    Returns:
        The newest manifest: a new version, or the present one where it says the same already.

    Raises:
        MissingKeyError: a shard is not committed, or nothing was pinned.
    """
    commits = read_commits(store, shards)
    rejects: Counter[str] = Counter()
    for commit in commits:
        rejects.update(commit["stats"].get("rejects", {}))
    content = {
        "count": sum(shard.rows for shard in shards),
        "run": read_json(store, RUN_KEY),
        "rejects": dict(rejects),
        "shards": commits,
    }
    while True:
        newest = newest_manifest(store)
        if newest is not None and all(newest[key] == value for key, value in content.items()):
            return newest
        number = newest["version"] + 1 if newest else 1
        manifest = content | {"version": number, "libraries": {name: installed(name) for name in LIBRARIES}}
        if store.put_if_absent(f"manifests/v{number:05d}.json", canonical_json(manifest)):
            return manifest


def read_manifest(store: Store) -> dict[str, Any]:
    """The newest manifest: ``version``, ``count``, ``run``, ``libraries``, ``rejects`` and ``shards``.

    ``rejects`` counts, by reason, the poses that the gate would drop or dropped; ``shards`` are the commits, in order.

    Raises:
        MissingKeyError: nothing is published there.
    """
    manifest = newest_manifest(store)
    if manifest is None:
        hint = "check the address; an unfinished data set is continued by the command that began it"
        raise MissingKeyError(store.uri, "no published data set here", hint)
    return manifest


def newest_manifest(store: Store) -> dict[str, Any] | None:
    """Like :func:`read_manifest`, but None where nothing is published."""
    keys = manifest_keys(store)
    return read_json(store, keys[-1]) if keys else None


def manifest_keys(store: Store) -> list[str]:
    """All manifests, oldest first."""
    return [key for key in store.list("manifests/") if re.fullmatch(r"manifests/v\d{5}\.json", key)]


def iter_shards(store: Store) -> Iterator[dict[str, np.ndarray | list[bytes]]]:
    """Decode the shards of the newest manifest one after another, in order.

    Raises:
        DataError: a shard's bytes are not those that were committed.
    """
    for entry in read_manifest(store)["shards"]:
        data, where = store.get(entry["shard"]), f"{store.uri}/{entry['shard']}"
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise DataError(where, "other bytes than were committed", f"run `flexpose repair {store.uri}`")
        yield decode_shard(data, where)


def _differences(pinned: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[str]:
    """Every value that differs, in words, under its nested keys joined by dots."""
    told = []
    for key in sorted(pinned | asked):
        before, now = (side.get(key, "absent") for side in (pinned, asked))
        if isinstance(before, dict) and isinstance(now, dict):
            told += _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            told.append(f"{prefix}{key} was {before} and is now {now}")
    return told
