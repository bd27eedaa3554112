"""Proving and repairing a data set by rendering its shards again, which takes nothing but their addresses."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.render import ShardRenderer
from flexpose_ray.dataset.verify import Problem, verify
from flexpose_ray.engine.generate.run import render
from flexpose_ray.storage.base import Store


def regenerate(
    store: Store,
    count: int,
    seed: int | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Problem]:
    """Render random shards of the newest manifest again, in this process, and compare their bytes.

    Args:
        store: the data set.
        count: how many shards; all of them where it has fewer.
        seed: of the choice; None chooses others each time.
        on_progress: takes (shards rendered, shards to render).

    Returns:
        The shards that came out with other bytes than were committed. On another kind of machine, or with other
        versions of the libraries in the manifest, that need not be damage.

    Raises:
        MissingKeyError: nothing is published there.
        WeightsError: the data set's model is missing or damaged.
    """
    manifest = read_manifest(store)
    chosen = np.random.default_rng(seed).permutation(len(manifest.shards))[:count]
    renderer, problems = ShardRenderer(store, manifest.run), []
    for done, at in enumerate(sorted(chosen.tolist()), 1):
        entry = manifest.shards[at]
        data, _ = renderer.encode(entry.id)
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            problems.append(Problem(entry.id, entry.shard, "comes out with other bytes when it is rendered again"))
        on_progress(done, len(chosen))
    return problems


def repair(store: Store, on_progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Restore every shard and commit to what the newest manifest names, byte for byte.

    Args:
        store: the data set; nothing may write to it meanwhile.
        on_progress: takes (shards repaired, shards to repair).

    Returns:
        ``shards`` rendered again, ``commits`` written again, and ``left``: what :func:`verify` still finds.

    Raises:
        NonDeterminismError: a shard comes out with other bytes here than those that the manifest names; nothing is put
            in its place.
        MissingKeyError: nothing is published there.
        WeightsError: the data set's model is missing or damaged, and without it no shard can be rendered.
    """
    problems, manifest = verify(store), read_manifest(store)
    entries = {entry.id: entry for entry in manifest.shards}
    commits = [problem.shard for problem in problems if problem.key.startswith("commits/")]
    shards = [problem.shard for problem in problems if problem.key.startswith("shards/")]
    for shard in commits:
        store.put(shard.commit_key, canonical_json(entries[shard].to_json()))
    if shards:
        # A shard rendered again replaces the damaged one, since both have the same key.
        for done, _ in enumerate(render(store, manifest.run, shards), 1):
            on_progress(done, len(shards))
    left = verify(store) if problems else []
    return {"shards": len(shards), "commits": len(commits), "left": left}
