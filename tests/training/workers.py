"""Several workers of one training, as threads of this process that average like an all-reduce."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from flexpose_ray.training.settings import Worker


def train_together(make: Callable[[Worker], Any], world: int, steps: int) -> tuple[list[dict], list]:
    """Train with ``world`` workers; returns every step's losses, averaged over them, and their trainers."""
    barrier, building = threading.Barrier(world), threading.Lock()
    slots, reports, workers = ([None] * world for _ in range(3))

    def work(rank: int) -> None:
        def exchange(tensors):
            slots[rank] = [t.clone() for t in tensors]
            barrier.wait(30)
            everyone = list(zip(*slots, strict=True))
            barrier.wait(30)
            return everyone

        def reduce(tensors):
            everyone = exchange(tensors)

            def finish():  # not before: what is done meanwhile may not lean on it
                for tensor, parts in zip(tensors, everyone, strict=True):
                    tensor.copy_(sum(parts) / world)

            return finish

        with building:  # torch's seed belongs to the whole process
            worker = Worker("cpu", rank, world, reduce, lambda rows: torch.cat(exchange([rows])[0]))
            trainer = workers[rank] = make(worker)
        reports[rank] = [trainer.step() for _ in range(steps)]

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(world)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    means = [{name: np.mean([row[name] for row in rows]) for name in rows[0]} for rows in zip(*reports, strict=True)]
    return means, workers
