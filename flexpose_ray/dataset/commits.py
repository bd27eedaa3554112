"""Commits: which bytes a shard has, once and for all, whichever process wrote them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from flexpose_ray.dataset.fields import Kinds, canonical_json, checked_fields, checked_values
from flexpose_ray.dataset.layout import READERS, ShardId
from flexpose_ray.errors import DataError, NonDeterminismError
from flexpose_ray.storage.base import MissingKeyError, Store, read_json

KINDS: Kinds = {"index": int, "rows": int, "shard": str, "sha256": str, "bytes": int, "stats": dict}
STATS_KINDS: Kinds = {"rows": int, "drawn": int, "rejects": dict, "nearest_shot": dict}


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """A committed shard, as its commit and the manifest hold it.

    Attributes:
        index: number of the shard, from 0.
        rows: its poses.
        shard: key of its Parquet file.
        sha256: hash of that file.
        bytes: size of that file.
        stats: ``rows`` and what later steps want to know without opening the shard: ``drawn`` (poses sampled),
            ``rejects`` (the gate's, by reason), ``nearest_shot``.
    """

    index: int
    rows: int
    shard: str
    sha256: str
    bytes: int
    stats: dict[str, Any]

    @classmethod
    def from_json(cls, value: Any, where: str, prefix: str = "") -> ShardEntry:
        """Check JSON that lies at ``where`` under ``prefix``; errors as :func:`checked_fields`."""
        entry = cls(**checked_fields(value, KINDS, where, prefix))
        stats, prefix = entry.stats, f"{prefix}stats."
        for key in STATS_KINDS.keys() & stats.keys():
            checked_fields({key: stats[key]}, {key: STATS_KINDS[key]}, where, prefix)
        checked_values(stats.get("rejects", {}), int, where, f"{prefix}rejects.")
        checked_values(stats.get("nearest_shot", {}), float, where, f"{prefix}nearest_shot.")
        return entry

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def id(self) -> ShardId:
        return ShardId(self.index, self.rows)

    def read_bytes(self, store: Store) -> bytes:
        """The shard's Parquet bytes.

        Raises:
            DataError: other bytes than were committed.
            MissingKeyError: the shard is not there.
        """
        where, hint = f"{store.uri}/{self.shard}", f"run `flexpose repair {store.uri}`"
        try:
            data = store.get(self.shard)
        except MissingKeyError:
            raise MissingKeyError(where, "the manifest names this shard, but it is missing", hint) from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise DataError(where, "other bytes than were committed", hint)
        return data


def commit_shard(store: Store, shard_index: int, data: bytes, stats: dict[str, Any]) -> ShardEntry:
    """Write a shard and commit it; committing the same bytes again changes nothing.

    Args:
        store: the data set.
        shard_index: which shard.
        data: its Parquet bytes.
        stats: see :class:`ShardEntry`; ``rows`` is needed.

    Raises:
        NonDeterminismError: the shard is committed with other bytes. The earlier ones stay.
        DataError: its earlier commit is damaged.
    """
    shard, sha256 = ShardId(shard_index, stats["rows"]), hashlib.sha256(data).hexdigest()
    entry = ShardEntry(*shard, shard.shard_key(sha256), sha256, len(data), stats)
    store.put(entry.shard, data)
    if store.put_if_absent(shard.commit_key, canonical_json(entry.to_json())):
        return entry
    before = read_commit(store, shard).sha256
    if before != sha256:
        store.delete(entry.shard)
        problem = f"committed with sha256 {before[:16]}, rendered again with {sha256[:16]}"
        hint = "continue with the same library versions on the same kind of machine, or start a new data set"
        raise NonDeterminismError(f"{store.uri}/{shard.commit_key}", problem, hint)
    return entry


def committed(store: Store) -> set[ShardId]:
    """All committed shards, from one listing."""
    names = (re.fullmatch(r"commits/(\d+)-(\d+)\.json", key) for key in store.iter_keys("commits/"))
    return {ShardId(int(name[1]), int(name[2])) for name in names if name}


def read_commit(store: Store, shard: ShardId) -> ShardEntry:
    """The commit of ``shard``.

    Raises:
        MissingKeyError: it is not committed.
        StorageError: no JSON object.
        DataError: a field is missing, unknown or of another type.
    """
    return ShardEntry.from_json(read_json(store, shard.commit_key), f"{store.uri}/{shard.commit_key}")


def read_commits(store: Store, shards: Iterable[ShardId]) -> list[ShardEntry]:
    """The commits of ``shards``, in that order; errors as :func:`read_commit`."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda shard: read_commit(store, shard), shards))
