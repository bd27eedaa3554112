"""Stopping in good order: SIGTERM at the driver makes all workers write a checkpoint and stop."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import ray
import torch
import torch.distributed as dist
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from flexpose_ray.engine.train.job import TrainingJob

AGREE_EVERY = 4  # steps between two exchanges of several workers on whether to stop
ANSWER_S = 5.0  # how long the driver waits for the signal's actor


def driver_node() -> NodeAffinitySchedulingStrategy:
    """Places actors on the node of this process."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


@ray.remote(num_cpus=0, max_concurrency=1000)
class _StopActor:
    """Holds the request for the workers that wait for it."""

    def __init__(self):
        self.requested, self.waiting = asyncio.Event(), 0

    async def request(self) -> bool:
        self.requested.set()
        return self.waiting > 0

    async def wait(self) -> None:
        self.waiting += 1
        try:
            await self.requested.wait()
        finally:
            self.waiting -= 1


class StopSignal:
    """The driver's end. Its actor lives on the driver's node, because nodes of workers may be lost.

    Attributes:
        actor: handed to the workers, for :class:`StopListener`.
    """

    def __init__(self):
        self.actor = _StopActor.options(scheduling_strategy=driver_node()).remote()

    def request(self) -> bool:
        """Ask the workers to stop; returns whether any of them listens. Where Ray is gone already, none does."""
        with suppress(RayError):
            return ray.get(self.actor.request.remote(), timeout=ANSWER_S)
        return False


class StopListener:
    """A worker's end. Worker 0 waits for the request and passes it on to the others.

    Args:
        actor: of the driver's :class:`StopSignal`.
        job: of this worker; its rank, number of workers and device are used.
    """

    def __init__(self, actor: ray.actor.ActorHandle, job: TrainingJob):
        self.world, self.device = job.world, job.device
        self.request = actor.wait.remote() if job.rank == 0 else None

    def requested(self, step: int) -> bool:
        """Whether all workers stop after this step; every worker has to ask after every step."""
        arrived = self.request is not None and bool(ray.wait([self.request], timeout=0)[0])
        if self.world == 1:
            return arrived
        if step % AGREE_EVERY:
            return False
        flag = torch.tensor([float(arrived)], device=self.device)
        dist.all_reduce(flag)
        return bool(flag.item())
