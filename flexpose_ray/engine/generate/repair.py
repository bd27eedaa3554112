"""Proving and mending a data set by rendering its shards again: their address is all that it takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from flexpose_ray.dataset.manifest import ShardId, canonical_json, read_manifest
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
    """Render ``count`` random shards of the newest manifest again, in this process, and compare their bytes.

    Args:
        store: the data set.
        count: shards; all of them where it has fewer.
        seed: of the choice; another one each time where None.
        on_progress: takes (shards rendered, shards to render).

    Returns:
        The shards that came out with other bytes than their commit says. On another kind of machine, or with other
        versions of the libraries in the manifest, that need not be damage.

    Raises:
        MissingKeyError: nothing is published there.
        WeightsError: the data set's model is missing or damaged.
    """
    entries = read_manifest(store)["shards"]
    chosen = np.random.default_rng(seed).permutation(len(entries))[:count]
    renderer, problems = ShardRenderer(store), []
    for done, at in enumerate(sorted(chosen.tolist()), 1):
        entry = entries[at]
        shard = ShardId(entry["index"], entry["rows"])
        if hashlib.sha256(renderer.encoded(shard)).hexdigest() != entry["sha256"]:
            problems.append(Problem(shard, entry["shard"], "comes out with other bytes when it is rendered again"))
        on_progress(done, len(chosen))
    return problems


def repair(store: Store, on_progress: Callable[[int, int], None] = lambda done, total: None) -> dict[str, Any]:
    """Bring every shard and commit back to what the newest manifest says, byte for byte.

    Args:
        store: the data set; nothing may write to it meanwhile.
        on_progress: takes (shards mended, shards to mend).

    Returns:
        ``shards`` rendered again, ``commits`` written again, and ``left``: what :func:`verify` still says.

    Raises:
        NonDeterminismError: a shard comes out with other bytes here than those that the manifest names; nothing is put
            in its place.
        MissingKeyError: nothing is published there.
        WeightsError: the data set's model is missing or damaged, and without it no shard can be rendered.
    """
    problems = verify(store)
    entries = {ShardId(entry["index"], entry["rows"]): entry for entry in read_manifest(store)["shards"]}
    commits = [problem.shard for problem in problems if problem.key.startswith("commits/")]
    shards = [problem.shard for problem in problems if problem.key.startswith("shards/")]
    for shard in commits:
        store.put(shard.commit_key, canonical_json(entries[shard]))
    if shards:
        # Every shard is put in place of the damaged one, whose name is the same.
        for done, _ in enumerate(render(store, shards), 1):
            on_progress(done, len(shards))
    left = verify(store) if problems else []
    return {"shards": len(shards), "commits": len(commits), "left": left}
