"""Adaptation of one generator to many targets, a Ray task each: hundreds of U_l beside each other.

Storage remembers what is done: a target whose model is there, of the same make, is kept, so that a killed call loses
the adaptations under way and nothing else. On a CPU a model's tensors are, byte for byte, those of
:func:`engine.adapt.adapt` with one thread; ``model.json`` differs in the seconds on its card.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from typing import Any

import numpy as np
import ray
import torch
from ray.exceptions import RayError

from flexpose_ray.config import NAME, AdaptConfig
from flexpose_ray.engine.adapt.one import Base, adapt
from flexpose_ray.engine.runtime.progress import ProgressLine
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.runtime.tasks import run_tasks, why_lost
from flexpose_ray.errors import ConfigError, DataError, FlexPoseError
from flexpose_ray.networks.transfer import layer_set
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

TABLE = "targets.json"
READERS = 16  # threads that look up what is there already; they wait for storage, mostly

Shots = PoseSet | str  # in memory, or the address of a pose set
Row = dict[str, Any]


def read_targets(uri: str) -> dict[str, str]:
    """The pose sets (`NAME.parquet`) right in a folder or under a prefix: their addresses by name.

    Raises:
        DataError: there is none.
        ConfigError: a name that cannot name a folder.
    """
    store = open_store(uri)
    files = sorted(key for key in store.iter_keys() if key.endswith(".parquet") and "/" not in key)
    if not files:
        raise DataError(uri, "holds no pose sets (*.parquet)", "make one a target with `flexpose prepare`")
    targets = {key.removesuffix(".parquet"): f"{store.uri}/{key}" for key in files}
    check_names(targets, uri)
    return targets


def split_by_label(poses: PoseSet, where: str) -> dict[str, PoseSet]:
    """One target for every label of a pose set; ``where`` names the set in errors.

    Raises:
        ConfigError: a label that cannot name a folder; poses without one have the label "".
    """
    labels = np.unique(poses.label_N).tolist()
    check_names(labels, where)
    return {label: poses.take(poses.label_N == label) for label in labels}


def check_names(names: Mapping[str, Any] | list[str], where: str) -> None:
    """See that every name may become a folder and an object key.

    Raises:
        ConfigError: one that may not.
    """
    if "" in names:
        raise ConfigError(where, "holds poses without a label", "label them, or give a folder of pose sets")
    if bad := next((name for name in names if not re.fullmatch(NAME, name)), None):
        hint = "rename it: lower case letters, digits, - and _, at most 63"
        raise ConfigError(where, f"{bad!r} cannot name a target", hint)


def adapt_many(
    generator_uri: str,
    targets: Mapping[str, Shots],
    config: AdaptConfig,
    out_uri: str,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Row]:
    """Learn a tau for every target, write each to ``out_uri/NAME`` and the table to ``out_uri/targets.json``.

    A target that fails does not end the others: its row tells why, and the next call tries it again.

    Args:
        generator_uri: a pretrained generator, or ``builtin:NAME``; every worker loads it from there, once.
        targets: shots by name; names as in :data:`config.NAME`.
        config: settings of all adaptations.
        out_uri: where to; on a cluster a place that all nodes reach.
        workers: adaptations at a time, at most; by default one a CPU, or four a GPU where there are any.
        on_progress: takes (targets done, targets in all); a line on standard error where None.

    Returns:
        A row a target, by name: ``name``, ``shots``, ``loss`` (mean of the last tenth of its history), ``seconds``,
        ``uri``, ``error`` (one line); what does not apply is None.

    Raises:
        ConfigError: a name, layer or number of workers that cannot be.
        DataError: no targets.
        WeightsError: no such generator.
        StorageError: ``out_uri`` cannot be read or written.
    """
    if workers is not None and workers < 1:
        raise ConfigError("workers", f"{workers} is less than 1", "give a positive number")
    if not targets:
        raise DataError("targets", "there are none", "give a folder of pose sets, or one with labels")
    check_names(targets, "targets")
    base, store = Base.load(generator_uri), open_store(out_uri)
    layer_set(config.layers, base.parts.generator.n_layers)
    tell = on_progress or ProgressLine("targets")
    rows: dict[str, Row] = {}
    tell(0, len(targets))
    for row in _all_rows(base, targets, config, store, workers):
        rows[row["name"]] = row
        tell(len(rows), len(targets))
    table = [rows[name] for name in sorted(rows)]
    head = {"generator": base.uri, "base_digest": base.parts.digest, "settings": config.model_dump(mode="json")}
    store.put(TABLE, json.dumps({**head, "targets": table}, indent=1).encode())
    return table


def _all_rows(
    base: Base, targets: Mapping[str, Shots], config: AdaptConfig, store: Store, workers: int | None
) -> Iterator[Row]:
    """First the rows of what is there already, then those of the rest, as they are done."""
    ended = {key.partition("/")[0] for key in store.iter_keys() if key.endswith("/model.json")}
    kept = [name for name in targets if name in ended]
    with ThreadPoolExecutor(READERS) as pool:  # adapting to what is there is reading it
        jobs = [pool.submit(_row, lambda: base, name, targets[name], config, store.child(name).uri) for name in kept]
        yield from (job.result() for job in as_completed(jobs))
    missing = {name: shots for name, shots in targets.items() if name not in ended}
    if missing:
        with ray_session(cpus=workers or os.cpu_count()):
            yield from _run(base.uri, missing, config, store, workers)


def _run(
    generator_uri: str, targets: Mapping[str, Shots], config: AdaptConfig, store: Store, workers: int | None
) -> Iterator[Row]:
    """A task a target."""
    jobs = [(name, (generator_uri, name, shots, config, store.child(name).uri)) for name, shots in targets.items()]
    with closing(run_tasks(_adapt_target, jobs, workers)) as ended:
        for name, reference in ended:
            yield _result(reference, name, store)


def _result(reference: ray.ObjectRef, name: str, store: Store) -> Row:
    try:
        row = ray.get(reference)
    except RayError as error:
        return _failed(name, why_lost(error))
    if row["error"] is None and not store.exists(f"{name}/model.json"):
        hint = "a folder has to be one that all nodes of the cluster share; use s3:// otherwise"
        return _failed(name, f"{row['uri']}: was written, but not to here ({hint})")
    return row


def _adapt_target(generator_uri: str, name: str, shots: Shots, config: AdaptConfig, out_uri: str) -> Row:
    """One target in a worker of Ray."""
    torch.set_num_threads(1)
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    return _row(lambda: _base(generator_uri), name, shots, config, out_uri, device)


@functools.cache
def _base(generator_uri: str) -> Base:
    return Base.load(generator_uri)


def _row(
    base: Callable[[], Base], name: str, shots: Shots, config: AdaptConfig, out_uri: str, device: str = "cpu"
) -> Row:
    """Adapt to one target, or read what is there of it; how it ended."""
    try:
        poses = read_poses(shots) if isinstance(shots, str) else shots
        card = adapt(base(), poses, config, out_uri, device=device)
    except FlexPoseError as error:
        return _failed(name, str(error))
    except Exception as error:  # one target's trouble, out of memory on a device, say, is not the others'
        return _failed(name, f"{type(error).__name__}: {error}")
    last = [row["loss"] for row in card["history"]]  # none where nothing was trained
    loss = round(float(np.mean(last[-max(1, len(last) // 10) :])), 6) if last else None
    told = {"shots": card["shots"], "loss": loss, "seconds": card["seconds"], "uri": card["uri"]}
    return {"name": name, **told, "error": None}


def _failed(name: str, error: str) -> Row:
    line = " ".join(error.split())
    return {"name": name, "shots": None, "loss": None, "seconds": None, "uri": None, "error": line}
