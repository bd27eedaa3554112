"""Clearing a data set of what no record names."""

from __future__ import annotations

from flexpose_ray.dataset.commits import committed, read_commit
from flexpose_ray.dataset.manifest import manifest_keys, read_manifest
from flexpose_ray.storage.base import Store


def leftovers(store: Store) -> list[str]:
    """Keys that neither the newest manifest nor work in progress needs.

    These are shards that were put but never committed (their writer was killed in between), shorter last shards that
    growth has replaced, manifests that a newer one has replaced, and files that were never finished. Shards committed
    beyond the manifest stay: growth goes on from them.

    Raises:
        MissingKeyError: nothing is published there, so that everything may be work in progress.
        DataError: the manifest or a commit is damaged.
    """
    manifest = read_manifest(store)
    published = {entry.id for entry in manifest.shards}
    indices = {shard.index for shard in published}
    unpublished = committed(store) - published
    replaced = {shard for shard in unpublished if shard.index in indices}
    wanted = {entry.shard for entry in manifest.shards}
    wanted |= {read_commit(store, shard).shard for shard in unpublished - replaced}
    shards = [key for key in store.list("shards/") if key not in wanted]
    return sorted([*shards, *(s.commit_key for s in replaced), *manifest_keys(store)[:-1], *store.unfinished()])


def remove(store: Store, keys: list[str]) -> None:
    """Delete ``keys``, commits and manifests first, so that nothing names a shard that is gone."""
    for key in sorted(keys, key=lambda key: key.startswith("shards/")):
        store.delete(key)
