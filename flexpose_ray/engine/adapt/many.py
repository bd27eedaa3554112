"""Adaptation of one generator to many targets, one Ray task each.

Storage is the record of what is done: a model that is there with the same fingerprint is kept, so that a killed call
loses the adaptations under way and nothing else. On a CPU a model's tensors are, byte for byte, those of
:func:`engine.adapt.one.adapt` with one thread; ``model.json`` differs in the seconds on its card.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from flexpose_ray.config import NAME, AdaptConfig
from flexpose_ray.engine.adapt.one import BaseGenerator, adapt, cached_base
from flexpose_ray.engine.runtime.progress import ProgressLine
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.runtime.tasks import READERS, check_workers, error_line, run_tasks, task_device, task_result
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.networks.transfer import layer_set
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

TABLE = "targets.json"

Shots = PoseSet | str  # in memory, or the address of a pose set
Row = dict[str, Any]


def read_targets(uri: str) -> dict[str, str]:
    """Addresses, by name, of the pose sets (`NAME.parquet`) directly in a folder or under a prefix.

    Raises:
        DataError: there are none.
        ConfigError: a name that cannot be a folder's.
    """
    store = open_store(uri)
    files = sorted(key for key in store.iter_keys() if key.endswith(".parquet") and "/" not in key)
    if not files:
        raise DataError(uri, "holds no pose sets (*.parquet)", "write one for every target with `flexpose prepare`")
    targets = {key.removesuffix(".parquet"): f"{store.uri}/{key}" for key in files}
    check_names(targets, uri)
    return targets


def split_by_label(poses: PoseSet, where: str) -> dict[str, PoseSet]:
    """One target for every label of a pose set; ``where`` names the set in errors.

    Raises:
        ConfigError: a label that cannot be a folder's name; poses without a label have the label "".
    """
    labels = np.unique(poses.label_N).tolist()
    check_names(labels, where)
    return {label: poses.take(poses.label_N == label) for label in labels}


def check_names(names: Mapping[str, Any] | list[str], where: str) -> None:
    """Check that every name can become a folder and an object key.

    Raises:
        ConfigError: one cannot.
    """
    if "" in names:
        raise ConfigError(where, "holds poses without a label", "label them, or give a folder of pose sets")
    if bad := next((name for name in names if not re.fullmatch(NAME, name)), None):
        hint = "rename it: at most 63 lower case letters, digits, - and _"
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

    A target that fails does not end the others: its row holds the error, and the next call tries it again.

    Args:
        generator_uri: a pretrained generator, or ``builtin:NAME``; every worker loads it from there, once.
        targets: shots by name; names as in :data:`config.NAME`.
        config: settings of all adaptations.
        out_uri: where models are written; on a cluster a place that all nodes can reach.
        workers: adaptations at a time, at most; by default one a CPU, or four a GPU where there are any.
        on_progress: takes (targets done, targets in all); a line on standard error where None.

    Returns:
        A row for every target, by name: ``name``, ``shots``, ``loss`` (mean of the last tenth of its history),
        ``seconds``, ``uri``, ``error`` (one line); None for what does not apply.

    Raises:
        ConfigError: a name, layer or number of workers that is not possible.
        DataError: no targets.
        WeightsError: no such generator.
        StorageError: ``out_uri`` cannot be read or written.
    """
    check_workers(workers)
    if not targets:
        raise DataError("targets", "there are none", "give a folder of pose sets, or one with labels")
    check_names(targets, "targets")
    base, store = BaseGenerator.load(generator_uri), open_store(out_uri)
    layer_set(config.layers, base.parts.generator.n_layers)
    report = on_progress or ProgressLine("targets")
    rows: dict[str, Row] = {}
    report(0, len(targets))
    for row in _all_rows(base, targets, config, store, workers):
        rows[row["name"]] = row
        report(len(rows), len(targets))
    table = [rows[name] for name in sorted(rows)]
    head = {"generator": base.uri, "base_digest": base.parts.digest, "settings": config.model_dump(mode="json")}
    store.put(TABLE, json.dumps({**head, "targets": table}, indent=1).encode())
    return table


def _all_rows(
    base: BaseGenerator, targets: Mapping[str, Shots], config: AdaptConfig, store: Store, workers: int | None
) -> Iterator[Row]:
    """The rows of models that are there already, then those of the other targets as they are done."""
    ended = {key.partition("/")[0] for key in store.iter_keys() if key.endswith("/model.json")}
    kept = [name for name in targets if name in ended]
    with ThreadPoolExecutor(READERS) as pool:  # to adapt to a target whose model is there is to read it
        jobs = [pool.submit(_row, lambda: base, name, targets[name], config, store.child(name).uri) for name in kept]
        yield from (job.result() for job in as_completed(jobs))
    missing = {name: shots for name, shots in targets.items() if name not in ended}
    if missing:
        with ray_session(cpus=workers or os.cpu_count()):
            yield from _run(base.uri, missing, config, store, workers)


def _run(
    generator_uri: str, targets: Mapping[str, Shots], config: AdaptConfig, store: Store, workers: int | None
) -> Iterator[Row]:
    """Rows of targets, one Ray task each."""
    jobs = [(name, (generator_uri, name, shots, config, store.child(name).uri)) for name, shots in targets.items()]
    with closing(run_tasks(_adapt_target, jobs, workers)) as ended:
        for name, reference in ended:
            yield task_result(reference, store, f"{name}/model.json", partial(_failed, name))


def _adapt_target(generator_uri: str, name: str, shots: Shots, config: AdaptConfig, out_uri: str) -> Row:
    """One target, in a Ray worker."""
    return _row(lambda: cached_base(generator_uri), name, shots, config, out_uri, task_device())


def _row(
    base: Callable[[], BaseGenerator], name: str, shots: Shots, config: AdaptConfig, out_uri: str, device: str = "cpu"
) -> Row:
    """Adapt to one target, or read its model if that is there; returns its row."""
    try:
        poses = read_poses(shots) if isinstance(shots, str) else shots
        card = adapt(base(), poses, config, out_uri, device=device)
    except Exception as error:  # one target's failure, out of memory on a device, say, is not the others'
        return _failed(name, error_line(error))
    last = [row["loss"] for row in card["history"]]  # none where nothing was trained
    loss = round(float(np.mean(last[-max(1, len(last) // 10) :])), 6) if last else None
    figures = {"shots": card["shots"], "loss": loss, "seconds": card["seconds"], "uri": card["uri"]}
    return {"name": name, **figures, "error": None}


def _failed(name: str, error: str) -> Row:
    return {"name": name, "shots": None, "loss": None, "seconds": None, "uri": None, "error": error}
