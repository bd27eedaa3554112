"""Checking a data set against its own records, and clearing what no record names."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from flexpose_ray.dataset.manifest import (
    MODEL,
    READERS,
    ShardId,
    canonical_json,
    committed,
    manifest_keys,
    plan_shards,
    read_manifest,
)
from flexpose_ray.errors import WeightsError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.storage.base import MissingKeyError, Store, read_json

WINDOW = 64  # shards handed to the readers at a time


class Problem(NamedTuple):
    """What is wrong with one object of a data set; ``shard`` is None where it belongs to none."""

    shard: ShardId | None
    key: str
    problem: str


def verify(store: Store, on_progress: Callable[[int, int], None] = lambda done, total: None) -> list[Problem]:
    """Hash every shard of the newest manifest again, compare it and its commit; an empty list is a sound data set.

    Args:
        store: the data set.
        on_progress: takes (shards checked, shards in all).

    Raises:
        MissingKeyError: nothing is published there.
        StorageError: the manifest itself cannot be read.
    """
    manifest = read_manifest(store)
    entries, problems = manifest["shards"], []
    if [(e["index"], e["rows"]) for e in entries] != plan_shards(manifest["count"], manifest["run"]["shard_size"]):
        problems.append(Problem(None, manifest_keys(store)[-1], "its shards do not make up its poses"))
    try:
        if load_sampler(f"{store.uri}/{MODEL}").digest != manifest["run"]["generator"]:
            problems.append(Problem(None, MODEL, "another generator than the poses are of"))
    except WeightsError as error:
        problems.append(Problem(None, MODEL, error.problem))
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(entries), WINDOW):
            part = entries[first : first + WINDOW]
            for found in pool.map(lambda entry: list(_check(store, entry)), part):
                problems += found
            on_progress(first + len(part), len(entries))
    return problems


def _check(store: Store, entry: dict[str, Any]) -> Iterator[Problem]:
    shard = ShardId(entry["index"], entry["rows"])
    try:
        if hashlib.sha256(store.get(entry["shard"])).hexdigest() != entry["sha256"]:
            yield Problem(shard, entry["shard"], "other bytes than were committed")
    except MissingKeyError:
        yield Problem(shard, entry["shard"], "missing")
    try:
        if store.get(shard.commit_key) != canonical_json(entry):
            yield Problem(shard, shard.commit_key, "not what the manifest says")
    except MissingKeyError:
        yield Problem(shard, shard.commit_key, "missing")


def leftovers(store: Store) -> list[str]:
    """Keys that neither the newest manifest nor work in progress needs.

    Shards that were put but never committed (their writer was killed in between), shorter last shards that growth has
    replaced, manifests that a newer one has, and files that were never finished. Shards committed beyond the manifest
    stay: growth goes on from them.

    Raises:
        MissingKeyError: nothing is published there, so that all there is may be work in progress.
    """
    manifest = read_manifest(store)
    published = {ShardId(entry["index"], entry["rows"]) for entry in manifest["shards"]}
    indices = {shard.index for shard in published}
    replaced = {shard for shard in committed(store) - published if shard.index in indices}
    waiting = committed(store) - published - replaced
    wanted = {entry["shard"] for entry in manifest["shards"]}
    wanted |= {read_json(store, shard.commit_key)["shard"] for shard in waiting}
    shards = [key for key in store.list("shards/") if key not in wanted]
    return sorted([*shards, *(s.commit_key for s in replaced), *manifest_keys(store)[:-1], *store.unfinished()])


def collect(store: Store, keys: list[str]) -> None:
    """Delete ``keys``, commits and manifests first, so that nothing names a shard that is gone."""
    for key in sorted(keys, key=lambda key: key.startswith("shards/")):
        store.delete(key)
