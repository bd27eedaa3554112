"""Checking a data set against its own records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from flexpose_ray.dataset.commits import ShardEntry
from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.layout import MODEL, READERS, ShardId, plan_shards
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.errors import DataError, WeightsError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.storage.base import MissingKeyError, Store

WINDOW = 64  # shards handed to the readers at a time


class Problem(NamedTuple):
    """What is wrong with one object of a data set; ``shard`` is None where the object belongs to none."""

    shard: ShardId | None
    key: str
    problem: str


def verify(store: Store, on_progress: Callable[[int, int], None] = lambda done, total: None) -> list[Problem]:
    """Hash every shard of the newest manifest again and compare it and its commit with the manifest.

    Args:
        store: the data set.
        on_progress: takes (shards checked, shards in all).

    Returns:
        All that is wrong; an empty list is a sound data set.

    Raises:
        MissingKeyError: nothing is published there.
        StorageError: the manifest cannot be read.
        DataError: the manifest is damaged.
    """
    manifest, problems = read_manifest(store), []
    entries = manifest.shards
    if [entry.id for entry in entries] != plan_shards(manifest.count, manifest.run.shard_size):
        problems.append(Problem(None, manifest.key, "its shards do not make up its poses"))
    try:
        if load_sampler(f"{store.uri}/{MODEL}").digest != manifest.run.generator:
            problems.append(Problem(None, MODEL, "another generator than the one that made the poses"))
    except WeightsError as error:
        problems.append(Problem(None, MODEL, error.problem))
    with ThreadPoolExecutor(READERS) as pool:
        for first in range(0, len(entries), WINDOW):
            part = entries[first : first + WINDOW]
            for found in pool.map(lambda entry: list(_check(store, entry)), part):
                problems += found
            on_progress(first + len(part), len(entries))
    return problems


def _check(store: Store, entry: ShardEntry) -> Iterator[Problem]:
    try:
        entry.read_bytes(store)
    except MissingKeyError:
        yield Problem(entry.id, entry.shard, "missing")
    except DataError as error:
        yield Problem(entry.id, entry.shard, error.problem)
    commit_key = entry.id.commit_key
    try:
        if store.get(commit_key) != canonical_json(entry.to_json()):
            yield Problem(entry.id, commit_key, "differs from the manifest")
    except MissingKeyError:
        yield Problem(entry.id, commit_key, "missing")
