"""Many files of annotations read in parallel through Ray Data."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.data

from flexpose_ray.engine.runtime.session import ray_session

FILES = 32  # a task reads at a time
SEEN = "found"


Read = Callable[[Path], Any]


@contextmanager
def reading(workers: int, address: str | None = None) -> Iterator[Callable[[Read, list[Path]], Iterable]]:
    """Use Ray within the block, and get what stands in for ``map`` in :func:`flexpose_ray.sources.read.read_source`.

    Files must lie where all nodes see them. Results come in the order of the files; few of them are held at a time.

    Args:
        workers: tasks at a time.
        address: cluster to join; by default ``RAY_ADDRESS``, where it is set, else a private Ray.

    Raises:
        ConfigError: as :func:`ray_session`.
    """
    with ray_session(address, cpus=workers):
        yield lambda read, files: _read(read, files, workers)


def _read(read: Read, files: list[Path], workers: int) -> Iterator[Any]:
    context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False

    def batch(columns: dict[str, np.ndarray]) -> dict[str, list[bytes]]:
        return {SEEN: [pickle.dumps(read(Path(file))) for file in columns["file"]]}

    with ray.data.DataContext.current(context):
        blocks = -(-len(files) // FILES)
        rows = ray.data.from_items([{"file": str(file)} for file in files], override_num_blocks=blocks)
        found = rows.map_batches(batch, batch_size=FILES, concurrency=workers)
        for part in found.iter_batches(batch_size=FILES, prefetch_batches=1):
            yield from map(pickle.loads, part[SEEN])
