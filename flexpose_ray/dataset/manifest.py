"""Manifests: the shards that readers see, version by version."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from flexpose_ray.dataset.commits import ShardEntry, read_commits
from flexpose_ray.dataset.fields import Kinds, canonical_json, checked_fields, checked_values, damaged
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.storage.base import MissingKeyError, Store, read_json

LIBRARIES = ("flexpose-ray", "numpy", "opencv-python-headless", "pyarrow", "torch")  # bytes may differ between versions

KINDS: Kinds = {"version": int, "count": int, "run": dict, "libraries": dict, "rejects": dict, "shards": list}


@dataclass(frozen=True)
class Manifest:
    """One version of a data set.

    Attributes:
        version: counts from 1.
        count: poses in all.
        run: what they depend on.
        libraries: versions of the libraries that decide over the bytes.
        rejects: poses that the gate would drop or dropped, by reason.
        shards: the committed shards, in order.
    """

    version: int
    count: int
    run: RunSpec
    libraries: dict[str, str]
    rejects: dict[str, int]
    shards: tuple[ShardEntry, ...]

    @classmethod
    def from_json(cls, value: Any, where: str) -> Manifest:
        """Check JSON that lies at ``where``; errors as :func:`checked_fields`."""
        fields = checked_fields(value, KINDS, where)
        shards = tuple(ShardEntry.from_json(e, where, f"shards.{i}.") for i, e in enumerate(fields["shards"]))
        checked_values(fields["libraries"], str, where, "libraries.")
        checked_values(fields["rejects"], int, where, "rejects.")
        if not shards or fields["count"] < 1:
            raise damaged(where, f"{fields['count']} poses in {len(shards)} shards")
        return cls(**fields | {"run": RunSpec.from_json(fields["run"], where, "run."), "shards": shards})

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"run": self.run.to_json()}

    @property
    def key(self) -> str:
        return f"manifests/v{self.version:05d}.json"

    @cached_property
    def data(self) -> bytes:
        """The manifest as it lies on storage."""
        return canonical_json(self.to_json())

    @property
    def sha256(self) -> str:
        """Hash of the manifest as it lies on storage: the identity of all its poses."""
        return hashlib.sha256(self.data).hexdigest()


def publish(store: Store, run: RunSpec, shards: list[ShardId], newest: Manifest | None = None) -> Manifest:
    """Make ``shards``, all of them committed, the data set that readers see.

    Args:
        store: the data set.
        run: what its poses depend on.
        shards: in order.
        newest: the newest manifest as far as the caller knows.

    Returns:
        The newest manifest: a new version, or the present one where it holds the same already.

    Raises:
        MissingKeyError: a shard is not committed.
        DataError: a commit or a manifest is damaged.
    """
    entries = tuple(read_commits(store, shards))
    rejects: Counter[str] = Counter()
    for entry in entries:
        rejects.update(entry.stats.get("rejects", {}))
    manifest = Manifest(0, sum(shard.rows for shard in shards), run, _installed(), dict(rejects), entries)
    while True:
        if newest is not None and newest == replace(manifest, version=newest.version, libraries=newest.libraries):
            return newest
        manifest = replace(manifest, version=newest.version + 1 if newest else 1)
        if store.put_if_absent(manifest.key, manifest.data):
            return manifest
        newest = newest_manifest(store)


def read_manifest(store: Store) -> Manifest:
    """The newest manifest.

    Raises:
        MissingKeyError: nothing is published there.
        StorageError: no JSON object.
        DataError: a field is missing, unknown or of another type.
    """
    manifest = newest_manifest(store)
    if manifest is None:
        hint = "check the address; an unfinished data set is continued by the command that began it"
        raise MissingKeyError(store.uri, "no published data set here", hint)
    return manifest


def newest_manifest(store: Store) -> Manifest | None:
    """Like :func:`read_manifest`, but None where nothing is published."""
    keys = manifest_keys(store)
    return Manifest.from_json(read_json(store, keys[-1]), f"{store.uri}/{keys[-1]}") if keys else None


def manifest_keys(store: Store) -> list[str]:
    """Keys of all manifests, oldest first."""
    return [key for key in store.list("manifests/") if re.fullmatch(r"manifests/v\d{5}\.json", key)]


def _installed() -> dict[str, str]:
    from importlib.metadata import version  # here, since it takes a fifth of the time of reading a data set

    return {name: version(name) for name in LIBRARIES}
