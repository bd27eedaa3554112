"""Mass sampling with Ray Data: a row is a shard, storage records what is done, and the driver only counts."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import ray
import ray.data
from ray.exceptions import RayError

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.call_log import Call, log_call
from flexpose_ray.dataset.commits import committed
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.loaders import shard_rows
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.engine.generate.plan import plan_generation
from flexpose_ray.engine.generate.pools import Pools, cluster_pools
from flexpose_ray.engine.generate.stages import DrawAndCommit, SampleAndCommit, SampleShard
from flexpose_ray.engine.runtime.errors import flexpose_error_within
from flexpose_ray.engine.runtime.progress import ProgressLine
from flexpose_ray.engine.runtime.session import LEAST_CPUS, ray_session
from flexpose_ray.engine.runtime.tasks import SHARED_FOLDER_HINT
from flexpose_ray.engine.runtime.worker_env import worker_runtime_env
from flexpose_ray.errors import StorageError
from flexpose_ray.storage.base import Store


def generate(
    generator_uri: str | None,
    out_uri: str,
    config: GenerateConfig,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Sample poses to shards and publish them; a second call renders only what is missing.

    Args:
        generator_uri: a trained or adapted generator, or ``builtin:NAME``; None where the data set has its own already.
        out_uri: the data set; on a cluster a place that all nodes reach.
        config: number of poses, those of earlier calls included; what they depend on; and how many actors sample,
            by default one for each CPU, or for each GPU where there are any.
        on_progress: takes (poses done, poses in all); a line on standard error where None.

    Returns:
        ``uri``, ``count``, ``rendered`` (poses of this call), ``seconds``, ``shards``, ``rejects`` (poses by the gate's
        reasons), and ``manifest`` (``version``, ``sha256``).

    Raises:
        ConfigError: the data set at ``out_uri`` belongs to another run or is larger, the gate rejects nearly
            everything, or so many actors that drawing would never get a CPU.
        DataError: the records of the data set are damaged.
        WeightsError: the generator is missing or damaged.
        StorageError: ``out_uri`` cannot be written.
        NonDeterminismError: a shard came out with other bytes than before.
    """
    began = time.monotonic()
    generation = plan_generation(generator_uri, out_uri, config)
    store, missing, rendered = generation.store, generation.missing, 0
    if missing:
        report = on_progress or ProgressLine("poses")
        before = config.count - sum(shard.rows for shard in missing)
        report(before, config.count)
        for rows in render(store, generation.run, missing, config.actors):
            rendered += rows
            report(before + rendered, config.count)
    manifest = generation.publish()
    return {
        "uri": store.uri,
        "count": config.count,
        "rendered": rendered,
        "seconds": time.monotonic() - began,
        "shards": len(generation.shards),
        "rejects": manifest.rejects,
        "manifest": {"version": manifest.version, "sha256": manifest.sha256},
    }


def render(store: Store, run: RunSpec, missing: list[ShardId], actors: int | None = None) -> Iterator[int]:
    """Render and commit shards with Ray Data, in a Ray of its own where none runs, and log what it took.

    Args:
        store: the data set, which holds its model.
        run: what its poses depend on.
        missing: the shards.
        actors: samplers at work, at most; by default as many as fit.

    Yields:
        The number of poses of every shard, as it is committed.

    Raises:
        FlexPoseError: the error of an actor; StorageError where an actor wrote to another place than ``store``.
    """
    began, rows, busy_s = time.monotonic(), 0, 0.0
    with ray_session(cpus=max(LEAST_CPUS, os.cpu_count() or 1, 2 * (actors or 0))):
        pools = cluster_pools(actors, bool(run.images), len(missing))
        for part in _run_stages(store, run, missing, pools):
            rows += int(part["rows"].sum())
            busy_s += float(part["busy_s"].sum())
            yield int(part["rows"].sum())
    if lost := set(missing) - committed(store):
        problem = f"{len(lost)} shards were written by workers but are not visible here"
        raise StorageError(store.uri, problem, SHARED_FOLDER_HINT)
    seconds = round(time.monotonic() - began, 3)
    log_call(store, Call(rows, seconds, round(busy_s, 3), pools.device, *pools))


def _run_stages(store: Store, run: RunSpec, missing: list[ShardId], pools: Pools) -> Iterator[dict[str, np.ndarray]]:
    """Run the stages over the missing shards; yields the numbers that the stages return for committed shards."""
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.raise_original_map_exception = True
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":  # Ray Data's file keeps what our one line about an error leaves out
            handler.setLevel(logging.CRITICAL)
    with ray.data.DataContext.current(context):
        shards = shard_rows([{"index": shard.index, "rows": shard.rows} for shard in missing])
        sampling = {"out_uri": store.uri, "run": run, "device": pools.device}
        if not run.images:
            done = _stage(shards, SampleAndCommit, sampling, pools.samplers, pools.gpu_share)
        else:
            drawing = {"out_uri": store.uri, "run": run}
            poses = _stage(shards, SampleShard, sampling, pools.samplers, pools.gpu_share)
            done = _stage(poses, DrawAndCommit, drawing, pools.drawers, 0)
        try:
            yield from done.iter_batches(batch_size=None, prefetch_batches=0)
        except RayError as error:
            raise flexpose_error_within(error) or error from None


def _stage(
    data: ray.data.Dataset, stage: type, arguments: dict[str, Any], actors: int, gpu_share: float
) -> ray.data.Dataset:
    """One shard per call, one CPU per actor; an actor that dies is started again and its shard rendered again.

    The pool begins with one actor for every CPU that is free and follows the cluster's size and the work; on GPUs it is
    fixed, since Ray's pools there do not grow.
    """
    size = {"size": actors} if gpu_share else {"min_size": 1, "initial_size": actors, "max_size": actors}
    return data.map_batches(
        stage,
        fn_constructor_kwargs=arguments,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(**size, max_tasks_in_flight_per_actor=2),
        num_cpus=1,
        num_gpus=gpu_share,
        runtime_env=worker_runtime_env(),
    )
