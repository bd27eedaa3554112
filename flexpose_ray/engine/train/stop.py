"""A bell between driver and workers: SIGTERM at the driver makes the workers write a checkpoint and leave."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import ray
import torch
import torch.distributed as dist
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

EVERY = 4  # steps between two agreements of several workers
PATIENCE_S = 5.0  # for the bell itself


@ray.remote(num_cpus=0, max_concurrency=1000)
class _Bell:
    def __init__(self):
        self.rung, self.listeners = asyncio.Event(), 0

    async def ring(self) -> bool:
        self.rung.set()
        return self.listeners > 0

    async def heard(self) -> None:
        self.listeners += 1
        try:
            await self.rung.wait()
        finally:
            self.listeners -= 1


class Bell:
    """The driver's end. It lives on the driver's node: those of the workers may be lost.

    Attributes:
        actor: to be handed to the workers.
    """

    def __init__(self):
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.actor = _Bell.options(scheduling_strategy=here).remote()

    def ring(self) -> bool:
        """Ask the workers to leave; whether any of them listens. Where Ray is gone already, none does."""
        with suppress(RayError):
            return ray.get(self.actor.ring.remote(), timeout=PATIENCE_S)
        return False


class Listener:
    """A worker's end.

    Args:
        bell: the driver's.
        rank, world: of this worker; the first one listens, and tells the others.
        device: where its tensors are exchanged.
    """

    def __init__(self, bell: ray.actor.ActorHandle, rank: int, world: int, device: torch.device):
        self.world, self.device = world, device
        self.ringing = bell.heard.remote() if rank == 0 else None

    def shall_leave(self, step: int) -> bool:
        """Whether all workers leave after this step; all of them ask after every step."""
        rung = self.ringing is not None and bool(ray.wait([self.ringing], timeout=0)[0])
        if self.world == 1:
            return rung
        if step % EVERY:
            return False
        flag = torch.tensor([float(rung)], device=self.device)
        dist.all_reduce(flag)
        return bool(flag.item())
