"""How many actors sample and draw, by what the cluster has."""

from __future__ import annotations

import math
import os
from typing import NamedTuple

import ray

from flexpose_ray.errors import ConfigError

SAMPLERS_PER_DRAWER = 4  # on a CPU drawing a pose takes about an eighth of the time of sampling it


class Pools(NamedTuple):
    """Actors in both pools at most, and the part of a GPU that a sampler has."""

    samplers: int
    drawers: int
    gpu_share: float

    @property
    def device(self) -> str:
        return "cuda" if self.gpu_share else "cpu"


def cluster_pools(actors: int | None, images: bool, shards: int) -> Pools:
    """Pools for the cluster that Ray is connected to; arguments and errors as :func:`pool_sizes`."""
    gpus = int(ray.cluster_resources().get("GPU", 0))
    samplers, drawers = pool_sizes(actors, images, shards, *_cpus(), gpus)
    return Pools(samplers, drawers, 1 / math.ceil(samplers / gpus) if gpus else 0)  # samplers of one GPU fill it


def pool_sizes(actors: int | None, images: bool, shards: int, cpus: int, cores: int, gpus: int) -> tuple[int, int]:
    """How many actors sample and how many draw.

    Args:
        actors: samplers wanted; None for as many as fit.
        images: whether there is anything to draw.
        shards: no pool needs more actors than there are shards.
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
    """CPUs that Ray counts, and those that exist: on one small machine Ray counts more, see ray_session."""
    cpus = int(ray.cluster_resources().get("CPU", 0))
    alone = sum(node["Alive"] for node in ray.nodes()) == 1
    return cpus, min(cpus, os.cpu_count() or 1) if alone else cpus
