"""Batches of a generated data set for training, shared out so that every pose comes exactly once an epoch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from flexpose_ray.dataset.pictures import read_images
from flexpose_ray.dataset.reader import Block, PoseReader, prefetched, take
from flexpose_ray.errors import ConfigError

Batch = dict[str, torch.Tensor]


class PoseBatches(IterableDataset):
    """Batches in an order that seed and epoch decide; a ``DataLoader`` takes them with ``batch_size=None``.

    An epoch is one line of poses: the shards in a shuffled order, each with its poses shuffled. Ranks take consecutive
    parts of the line that differ by one pose at most, and cut them into the same number of batches (of two poses or
    more), so that no rank waits for another; a rank's loader workers take consecutive runs of its batches. Batches
    are full but for the last one or two of a rank. A worker holds two shards in memory, and two workers may read the
    shard at which they meet.

    A batch is a dict of ``index`` int64 (N,), ``keypoints`` float32 (N, J, 2) in crop units, ``confidence`` float32
    (N, J) and, if wanted, ``image`` uint8 (N, C, H, W), which is ``Alpha.draw`` of the keypoints in [0, 255].

    Args:
        dataset: where the poses come from.
        batch, shuffle, seed, images, rank, world: see :meth:`PoseReader.to_torch`.
    """

    def __init__(
        self,
        dataset: PoseReader,
        batch: int,
        shuffle: bool = True,
        seed: int = 0,
        images: bool = False,
        rank: int | None = None,
        world: int | None = None,
    ):
        if batch < 1 or seed < 0:
            raise ConfigError("to_torch", f"batch {batch}, seed {seed}", "batch is at least 1, seed at least 0")
        if images and "image" not in dataset.columns:
            hint = "draw them: poses.alpha.draw(batch['keypoints'])"
            raise ConfigError("images", f"{dataset.store.uri} holds no pictures", hint)
        if (rank is None) != (world is None):
            raise ConfigError("to_torch", "rank and world go together", "give both, or none")
        if rank is None:
            spread = torch.distributed.is_available() and torch.distributed.is_initialized()
            rank = torch.distributed.get_rank() if spread else 0
            world = torch.distributed.get_world_size() if spread else 1
        if not 0 <= rank < world <= dataset.count:
            problem = f"rank {rank} of {world} for {dataset.count:,} poses"
            raise ConfigError("to_torch", problem, "ranks count from 0, and each needs a pose")
        self.dataset, self.batch, self.shuffle, self.seed, self.images = dataset, batch, shuffle, seed, images
        self.rank, self.world = rank, world
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see it change

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass, also in workers that are running already."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Batches of this rank an epoch."""
        begin, end = self._share()
        return min(math.ceil(math.ceil(self.dataset.count / self.world) / self.batch), end - begin)

    def __iter__(self) -> Iterator[Batch]:
        epoch, worker = int(self._epoch), get_worker_info()
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        bounds = self._bounds()[len(self) * part // parts : len(self) * (part + 1) // parts + 1]
        poses = self._line(epoch, bounds[0], bounds[-1])
        for batch in _cut(poses, [end - begin for begin, end in itertools.pairwise(bounds)]):
            images = batch.pop("image", None)
            if images is not None:
                images_NHWC = read_images(images, self.dataset.alpha.channels)
                batch["image"] = np.ascontiguousarray(images_NHWC.transpose(0, 3, 1, 2))
            yield {name: torch.from_numpy(column) for name, column in batch.items()}

    def _share(self) -> tuple[int, int]:
        """This rank's part of the line."""
        return self.dataset.count * self.rank // self.world, self.dataset.count * (self.rank + 1) // self.world

    def _bounds(self) -> list[int]:
        """Where on the line this rank's batches begin, and where the last one ends."""
        (begin, end), steps = self._share(), len(self)
        # One pose at least is left for the last batch: a rank with one pose less makes as many batches as the others.
        return [min(begin + step * self.batch, end - (steps - step)) for step in range(steps)] + [end]

    def _line(self, epoch: int, first: int, last: int) -> Iterator[Block]:
        """The poses from ``first`` to ``last`` on the line of that epoch, a shard or a part of one at a time."""
        shards = self.dataset.shards
        order = (
            np.random.default_rng([self.seed, epoch]).permutation(len(shards)) if self.shuffle else range(len(shards))
        )
        spans, begin = [], 0
        for shard in order:
            end = begin + shards[shard]["rows"]
            if max(begin, first) < min(end, last):
                spans.append((int(shard), slice(max(first - begin, 0), last - begin)))
            begin = end

        def load(span: tuple[int, slice]) -> Block:
            shard, rows = span
            order_N = np.arange(shards[shard]["rows"])
            if self.shuffle:
                order_N = np.random.default_rng([self.seed, epoch, shard]).permutation(order_N)
            return take(self.dataset.read_shard(shards[shard], self.images), order_N[rows])

        return (block for _, block in prefetched(spans, load))


def _cut(blocks: Iterator[Block], sizes: list[int]) -> Iterator[Block]:
    """Join consecutive blocks and cut them to ``sizes``."""
    block, at, have = {}, 0, 0
    for size in sizes:
        parts = []
        while size:
            if at == have:
                block, at = next(blocks), 0
                have = len(block["index"])
            parts.append(take(block, slice(at, min(at + size, have))))
            at, size = at + len(parts[-1]["index"]), size - len(parts[-1]["index"])
        yield {name: _join([part[name] for part in parts]) for name in block}


def _join(parts: list) -> np.ndarray | list[bytes]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(itertools.chain(*parts))
