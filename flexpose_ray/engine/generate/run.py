"""Mass sampling with Ray Data: a row is a shard, storage remembers what is done, the driver only counts."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import ray
import ray.data
from ray.exceptions import RayError

from flexpose_ray.dataset.manifest import (
    MODEL,
    RUN_KEY,
    ShardId,
    committed,
    log_call,
    newest_manifest,
    pin_run,
    plan_shards,
    publish,
    sha256_of,
)
from flexpose_ray.dataset.shards import shard_schema
from flexpose_ray.engine.generate.stages import DrawAndCommit, SampleAndCommit, SampleShard
from flexpose_ray.engine.runtime.errors import flexpose_error_within
from flexpose_ray.engine.runtime.memory import KEEP_ENV
from flexpose_ray.engine.runtime.progress import ProgressLine
from flexpose_ray.engine.runtime.session import LEAST_CPUS, ray_session
from flexpose_ray.errors import ConfigError, StorageError
from flexpose_ray.models.generators import copy_model, load_sampler
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.gate import GateSettings
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store

FORMAT = 2  # of shards, commits and manifests
MOST_BLOCKS = 2000  # parts that the list of shards is cut into; an actor takes one at a time
SAMPLERS_PER_DRAWER = 4  # on a CPU drawing a pose takes about an eighth of the time of sampling it
WORKER_ENV = {**KEEP_ENV, "OMP_NUM_THREADS": "1"}


def generate(
    generator_uri: str | None,
    out_uri: str,
    *,
    count: int,
    seed: int,
    shard_size: int,
    gate: GateSettings | None = None,
    images: str | None = None,
    actors: int | None = None,
    batch: int = 64,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Sample ``count`` poses to shards and publish them; a second call renders only what is missing.

    Args:
        generator_uri: a trained or adapted generator, or ``builtin:NAME``; None where the data set has its own already.
        out_uri: the data set; on a cluster a place that all nodes reach.
        count: poses in all, those of earlier calls included.
        seed: with a pose's index, its address.
        shard_size: poses a shard.
        gate: what is thought of implausible poses; by default they are counted and kept.
        images: store the skeleton image of every pose too, as "png" or "webp".
        actors: samplers at work, at most; by default one a CPU, or one a GPU where there are any.
        batch: images a pass of the networks; the last bits of a pose depend on it.
        on_progress: takes (poses done, poses in all); a line on standard error where None.

    Returns:
        ``uri``, ``count``, ``rendered`` (poses of this call), ``seconds``, ``shards``, ``rejects`` (poses by the gate's
        reasons), and ``manifest`` (``version``, ``sha256``).

    Raises:
        ConfigError: an argument out of range, the data set at ``out_uri`` belongs to another run or is larger, or the
            gate rejects nearly everything.
        WeightsError: the generator is missing or damaged.
        StorageError: ``out_uri`` cannot be written.
        NonDeterminismError: a shard came out with other bytes than before.
    """
    for name, value in (("count", count), ("shard_size", shard_size), ("actors", actors), ("batch", batch)):
        if value is not None and value < 1:
            raise ConfigError(name, f"{value} is less than 1", "give a positive number")
    if not 0 <= seed < 2**63:
        raise ConfigError("seed", f"{seed} is out of range", "give a number from 0 to 2^63 - 1")
    store, began = open_store(out_uri), time.monotonic()
    sampler = load_sampler(generator_uri or f"{store.uri}/{MODEL}", batch)
    pin_run(store, _run(sampler, seed, shard_size, gate or GateSettings(), images))
    present = newest_manifest(store)
    if present is not None and present["count"] > count:
        problem = f"holds {present['count']:,} poses, more than the {count:,} asked for"
        raise ConfigError(store.uri, problem, "ask for at least as many, or choose another place")
    if generator_uri:
        copy_model(generator_uri, store.child(MODEL))

    shards = plan_shards(count, shard_size)
    missing = sorted(set(shards) - committed(store))
    rendered = 0
    if missing:
        tell = on_progress or ProgressLine("poses")
        before = count - sum(shard.rows for shard in missing)
        tell(before, count)
        for rows in render(store, missing, actors):
            rendered += rows
            tell(before + rendered, count)
    manifest = publish(store, shards)
    return {
        "uri": store.uri,
        "count": count,
        "rendered": rendered,
        "seconds": time.monotonic() - began,
        "shards": len(shards),
        "rejects": manifest["rejects"],
        "manifest": {"version": manifest["version"], "sha256": sha256_of(manifest)},
    }


def _run(sampler: PoseSampler, seed: int, shard_size: int, gate: GateSettings, images: str | None) -> dict[str, Any]:
    """All that a pose of the data set depends on."""
    schema = shard_schema(sampler.alpha.skeleton.n_joints, bool(images))
    return {
        "format": FORMAT,
        "generator": sampler.digest,
        "skeleton": sampler.skeleton_name,
        "seed": seed,
        "shard_size": shard_size,
        "batch": sampler.batch,
        "gate": asdict(gate),
        "schema": {field.name: str(field.type) for field in schema},
        "images": images,
        "alpha": sampler.alpha.config,
    }


def render(store: Store, missing: list[ShardId], actors: int | None = None) -> Iterator[int]:
    """Render and commit shards of the data set in ``store``, in a Ray of its own where none runs, and log what it took.

    Yields:
        The number of poses of every shard, as it is committed.

    Raises:
        FlexPoseError: what an actor met; StorageError where an actor wrote to another place than ``store``.
    """
    began, rows, busy_s = time.monotonic(), 0, 0.0
    with ray_session(cpus=max(LEAST_CPUS, os.cpu_count() or 1, 2 * (actors or 0))):
        pools = _pools(store, len(missing), actors)
        for part in _run_stages(store, missing, pools):
            rows += int(part["rows"].sum())
            busy_s += float(part["busy_s"].sum())
            yield int(part["rows"].sum())
    if lost := set(missing) - committed(store):
        hint = "a folder has to be one that all nodes of the cluster share; use s3:// otherwise"
        raise StorageError(store.uri, f"{len(lost)} shards were written, but not to here", hint)
    seconds = round(time.monotonic() - began, 3)
    note = {"poses": rows, "seconds": seconds, "sampling_s": round(busy_s, 3), "device": pools.device}
    log_call(store, note | {"samplers": pools.samplers, "drawers": pools.drawers, "gpu_share": pools.gpu_share})


class Pools(NamedTuple):
    """Actors of both pools at most, and the part of a GPU that a sampler has."""

    samplers: int
    drawers: int
    gpu_share: float

    @property
    def device(self) -> str:
        return "cuda" if self.gpu_share else "cpu"


def _pools(store: Store, shards: int, actors: int | None) -> Pools:
    gpus = int(ray.cluster_resources().get("GPU", 0))
    images = bool(read_json(store, RUN_KEY)["images"])
    samplers, drawers = pool_sizes(actors, images, shards, *_cpus(), gpus)
    return Pools(samplers, drawers, 1 / math.ceil(samplers / gpus) if gpus else 0)  # samplers of one GPU fill it


def _run_stages(store: Store, missing: list[ShardId], pools: Pools) -> Iterator[dict[str, np.ndarray]]:
    """Run the stages over the missing shards; yields what a committed shard tells."""
    run = read_json(store, RUN_KEY)
    context = ray.data.DataContext.get_current().copy()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.raise_original_map_exception = True
    for handler in logging.getLogger("ray.data").handlers:
        if handler.name == "console":  # Ray Data's file keeps what our one line about an error leaves out
            handler.setLevel(logging.CRITICAL)
    with ray.data.DataContext.current(context):
        rows = [{"index": shard.index, "rows": shard.rows} for shard in missing]
        shards = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))
        sampling = {"out_uri": store.uri, "device": pools.device}
        if not run["images"]:
            done = _stage(shards, SampleAndCommit, sampling, pools.samplers, pools.gpu_share)
        else:
            drawing = {"out_uri": store.uri, "alpha": Alpha(**run["alpha"]), "encoding": run["images"]}
            poses = _stage(shards, SampleShard, sampling, pools.samplers, pools.gpu_share)
            done = _stage(poses, DrawAndCommit, drawing, pools.drawers, 0)
        try:
            yield from done.iter_batches(batch_size=None, prefetch_batches=0)
        except RayError as error:
            raise flexpose_error_within(error) or error from None


def _stage(
    data: ray.data.Dataset, stage: type, arguments: dict[str, Any], actors: int, gpu_share: float
) -> ray.data.Dataset:
    """One shard a call, one CPU an actor; an actor that dies is started again and its shard rendered again.

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
        runtime_env={"env_vars": WORKER_ENV},
    )


def pool_sizes(actors: int | None, images: bool, shards: int, cpus: int, cores: int, gpus: int) -> tuple[int, int]:
    """How many actors sample and how many draw.

    Args:
        actors: samplers wanted; None for as many as fit.
        images: whether there is anything to draw.
        shards: no pool needs more actors than there is work.
        cpus: CPUs that Ray counts in the cluster.
        cores: those of them that exist.
        gpus: GPUs in the cluster.

    Raises:
        ConfigError: so many samplers that drawing would never get a CPU.
    """
    samplers = min(actors or gpus or cores or 1, shards)
    drawers = 0
    if images:
        drawers = min(shards, max(1, cores - samplers) if gpus else math.ceil(samplers / SAMPLERS_PER_DRAWER))
    if actors is None:
        samplers = max(1, min(samplers, cpus - drawers))
    elif images and samplers + drawers > cpus:
        problem = f"{samplers} samplers and {drawers} drawers want more than the {cpus} CPUs of the cluster"
        raise ConfigError("actors", problem, "ask for fewer, or start more nodes first")
    return samplers, drawers


def _cpus() -> tuple[int, int]:
    """CPUs that Ray counts, and those that exist: on one small machine Ray is told of more, see ray_session."""
    cpus = int(ray.cluster_resources().get("CPU", 0))
    alone = sum(node["Alive"] for node in ray.nodes()) == 1
    return cpus, min(cpus, os.cpu_count() or 1) if alone else cpus
