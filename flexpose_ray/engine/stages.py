"""Stages of mass sampling: classes whose actors Ray Data feeds one shard at a time.

They hold addresses, never weights, and load at their first shard, so that a failure reaches the driver as the error
that it is and not as an actor that could not start.
"""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
import torch

from flexpose_ray.core.alpha import Alpha
from flexpose_ray.core.errors import WeightsError
from flexpose_ray.core.sampler import PoseSampler
from flexpose_ray.io.manifest import commit_shard
from flexpose_ray.io.models import load_sampler
from flexpose_ray.io.shards import decode_shard, encode_shard
from flexpose_ray.io.store import Store, open_store

PATIENCE_S = 120.0  # how long an actor outlasts a storage server that is away; the driver reports sooner
Batch = dict[str, np.ndarray]  # of one row


class SampleShard:
    """A shard's index and rows -> its poses, as the bytes of a shard without pictures.

    Args:
        generator_uri: what :func:`load_sampler` takes.
        digest: the weights that have to be there.
        seed: with the pose's index, its address.
        shard_size: rows of every shard but the last.
        batch: images a pass of the networks.
        device: where they run.
    """

    def __init__(self, generator_uri: str, digest: str, seed: int, shard_size: int, batch: int, device: str):
        self.generator_uri, self.digest, self.seed, self.shard_size = generator_uri, digest, seed, shard_size
        self.batch, self.device = batch, device

    @cached_property
    def sampler(self) -> PoseSampler:
        torch.set_num_threads(1)  # the pool has an actor for every core; also, bytes must not depend on the machine
        torch.backends.cudnn.deterministic = True
        sampler = load_sampler(self.generator_uri, self.batch, self.device)
        if sampler.digest != self.digest:
            problem = f"holds generator {sampler.digest[:16]}, the run began with {self.digest[:16]}"
            raise WeightsError(self.generator_uri, problem, "put the generator back, or start a new data set")
        return sampler

    def sample(self, index: int, rows: int) -> bytes:
        """Always a whole shard: so the networks see the same batches whatever the number of actors."""
        index_N = np.arange(rows, dtype=np.int64) + index * self.shard_size
        return encode_shard(index_N, *self.sampler.sample(self.seed, index_N))

    def __call__(self, row: Batch) -> Batch:
        index, rows = int(row["index"][0]), int(row["rows"][0])
        return {"index": row["index"], "poses": np.array([self.sample(index, rows)], object)}


class SampleAndCommit(SampleShard):
    """A shard's index and rows -> the shard on storage; only its row count comes back."""

    def __init__(self, out_uri: str, **sampling):
        super().__init__(**sampling)
        self.store = open_store(out_uri, PATIENCE_S)

    def __call__(self, row: Batch) -> Batch:
        index, rows = int(row["index"][0]), int(row["rows"][0])
        return _commit(self.store, index, self.sample(index, rows), rows)


class DrawAndCommit:
    """The poses of :class:`SampleShard` -> the shard with pictures on storage; only its row count comes back."""

    def __init__(self, out_uri: str, alpha: Alpha):
        cv2.setNumThreads(1)
        self.store, self.alpha = open_store(out_uri, PATIENCE_S), alpha

    def __call__(self, row: Batch) -> Batch:
        poses = decode_shard(row["poses"][0])
        images = [_png(self.alpha.draw_cv(keypoints_J2)) for keypoints_J2 in poses["keypoints"]]
        data = encode_shard(poses["index"], poses["keypoints"], poses["confidence"], images)
        return _commit(self.store, int(row["index"][0]), data, len(images))


def _commit(store: Store, index: int, data: bytes, rows: int) -> Batch:
    commit_shard(store, index, data, {"rows": rows})
    return {"rows": np.array([rows])}


def _png(image_HWC: np.ndarray) -> bytes:
    """OpenCV wants BGR; level 6 costs a fifth of drawing and saves a sixth of the space."""
    image_HWC = np.ascontiguousarray(image_HWC[..., ::-1])
    return cv2.imencode(".png", image_HWC, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()
