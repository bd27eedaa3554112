"""Batches of a generated data set for training, shared out so that every pose comes exactly once in an epoch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from flexpose_ray.dataset.blocks import Block, prefetched, recut, take
from flexpose_ray.dataset.pictures import read_images
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.errors import ConfigError

Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class BatchPlan:
    """How poses are cut into batches; see :meth:`PoseDataset.to_torch`.

    Raises:
        ConfigError: a number out of range.
    """

    size: int
    shuffle: bool = True
    seed: int = 0
    images: bool = False

    def __post_init__(self):
        if self.size < 1 or self.seed < 0:
            problem = f"batch {self.size}, seed {self.seed}"
            raise ConfigError("to_torch", problem, "batch is at least 1, seed at least 0")


class PoseBatches(IterableDataset):
    """Batches in an order that seed and epoch decide; a ``DataLoader`` takes them with ``batch_size=None``.

    An epoch is one sequence of poses: the shards in a shuffled order, each with its poses shuffled. Ranks take
    consecutive parts of it that differ by one pose at most, and cut them into the same number of batches (of two poses
    or more), so that no rank waits for another; a rank's loader workers take consecutive runs of its batches. Batches
    are full except for the last one or two of a rank. A worker holds two shards in memory, and two workers may both
    read the shard at which they meet.

    A batch is a dict of ``index`` int64 (N,), ``keypoints`` float32 (N, J, 2) in crop units, ``confidence`` float32
    (N, J) and, if wanted, ``image`` uint8 (N, C, H, W), which is ``Alpha.draw`` of the keypoints in [0, 255].

    Args:
        poses: the data set.
        plan: batch size, order and columns.
        rank, world: number of this process, and how many share the poses; by default those of ``torch.distributed``.

    Raises:
        ConfigError: pictures are asked for but not stored, or rank and world do not fit.
    """

    def __init__(self, poses: PoseReader, plan: BatchPlan, rank: int | None = None, world: int | None = None):
        if plan.images and "image" not in poses.columns:
            hint = "draw them: poses.alpha.draw(batch['keypoints'])"
            raise ConfigError("images", f"{poses.store.uri} holds no pictures", hint)
        if (rank is None) != (world is None):
            raise ConfigError("to_torch", "rank and world are needed together", "give both, or none")
        if rank is None:
            spread = torch.distributed.is_available() and torch.distributed.is_initialized()
            rank = torch.distributed.get_rank() if spread else 0
            world = torch.distributed.get_world_size() if spread else 1
        if not 0 <= rank < world <= poses.count:
            problem = f"rank {rank} of {world} for {poses.count:,} poses"
            raise ConfigError("to_torch", problem, "ranks count from 0, and each needs a pose")
        self.poses, self.plan, self.rank, self.world = poses, plan, rank, world
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()  # persistent workers see it change

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of the next pass, including in workers that run already."""
        self._epoch.fill_(epoch)

    def __len__(self) -> int:
        """Batches of this rank in an epoch."""
        begin, end = self._share()
        return min(math.ceil(math.ceil(self.poses.count / self.world) / self.plan.size), end - begin)

    def __iter__(self) -> Iterator[Batch]:
        epoch, worker = int(self._epoch), get_worker_info()
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        bounds = self._bounds()[len(self) * part // parts : len(self) * (part + 1) // parts + 1]
        blocks = self._sequence(epoch, bounds[0], bounds[-1])
        for batch in recut(blocks, [end - begin for begin, end in itertools.pairwise(bounds)]):
            images = batch.pop("image", None)
            if images is not None:
                images_NHWC = read_images(images, self.poses.alpha.channels)
                batch["image"] = np.ascontiguousarray(images_NHWC.transpose(0, 3, 1, 2))
            yield {name: torch.from_numpy(column) for name, column in batch.items()}

    def _share(self) -> tuple[int, int]:
        """This rank's part of the epoch's sequence."""
        return self.poses.count * self.rank // self.world, self.poses.count * (self.rank + 1) // self.world

    def _bounds(self) -> list[int]:
        """Where in the sequence this rank's batches begin, and where the last one ends."""
        (begin, end), steps = self._share(), len(self)
        # At least one pose is left for the last batch: a rank with one pose less makes as many batches as the others.
        return [min(begin + step * self.plan.size, end - (steps - step)) for step in range(steps)] + [end]

    def _sequence(self, epoch: int, first: int, last: int) -> Iterator[Block]:
        """The poses from ``first`` to ``last`` in the sequence of that epoch, a shard or a part of one at a time."""
        shards = self.poses.shards
        order, spans, begin = range(len(shards)), [], 0
        if self.plan.shuffle:
            order = np.random.default_rng([self.plan.seed, epoch]).permutation(len(shards))
        for shard in order:
            end = begin + shards[shard].rows
            if max(begin, first) < min(end, last):
                spans.append((int(shard), slice(max(first - begin, 0), last - begin)))
            begin = end

        def load(span: tuple[int, slice]) -> Block:
            shard, rows = span
            order_N = np.arange(shards[shard].rows)
            if self.plan.shuffle:
                order_N = np.random.default_rng([self.plan.seed, epoch, shard]).permutation(order_N)
            return take(self.poses.read_shard(shards[shard], self.plan.images), order_N[rows])

        return (block for _, block in prefetched(spans, load))
