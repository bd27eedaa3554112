"""Stages of mass sampling: classes whose actors Ray Data feeds one shard at a time.

They hold the data set's address, never weights, and load at their first shard, so that a failure reaches the driver as
the error that it is and not as an actor that could not start.
"""

from __future__ import annotations

import json
import time
from functools import cached_property

import numpy as np

from flexpose_ray.dataset.manifest import ShardId, commit_shard
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.render import ShardRenderer
from flexpose_ray.dataset.shards import decode_shard, encode_shard
from flexpose_ray.engine.runtime.metrics import QUEUE_WAIT, record_shard, record_work, working
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.open import open_store

PATIENCE_S = 120.0  # how long an actor outlasts a storage server that is away; the driver reports sooner
Batch = dict[str, np.ndarray]  # of one row


class _Stage:
    """An actor of the data set at ``out_uri``."""

    name = "sample"

    def __init__(self, out_uri: str):
        self.store = open_store(out_uri, PATIENCE_S)
        self.free_since = time.monotonic()

    def __call__(self, row: Batch) -> Batch:
        QUEUE_WAIT.record(time.monotonic() - self.free_since, stage=self.name)
        result = self.work(row)
        self.free_since = time.monotonic()
        return result

    def commit(self, index: int, data: bytes, stats: dict, busy_s: float) -> Batch:
        """Put and commit a shard; only a few numbers go back to the driver."""
        with working("commit"):
            commit_shard(self.store, index, data, stats)
        record_shard(stats)
        return {"rows": np.array([stats["rows"]]), "busy_s": np.array([busy_s])}


class SampleShard(_Stage):
    """A shard's index and rows -> its poses, as the bytes of a shard without pictures."""

    def __init__(self, out_uri: str, device: str):
        super().__init__(out_uri)
        self.device = device

    @cached_property
    def renderer(self) -> ShardRenderer:
        return ShardRenderer(self.store, self.device)

    def sample(self, row: Batch) -> tuple[bytes, dict, float]:
        """The shard's bytes, what its commit tells, and the seconds that it took."""
        began = time.monotonic()
        poses = self.renderer.poses(ShardId(int(row["index"][0]), int(row["rows"][0])))
        data, busy_s = poses.encode(), time.monotonic() - began
        record_work("sample", busy_s, self.device)
        return data, poses.stats, busy_s

    def work(self, row: Batch) -> Batch:
        data, stats, busy_s = self.sample(row)
        return {
            "index": row["index"],
            "poses": np.array([data], object),
            "stats": np.array([json.dumps(stats)], object),
            "busy_s": np.array([busy_s]),
        }


class SampleAndCommit(SampleShard):
    """A shard's index and rows -> the shard on storage."""

    def work(self, row: Batch) -> Batch:
        return self.commit(int(row["index"][0]), *self.sample(row))


class DrawAndCommit(_Stage):
    """The poses of :class:`SampleShard` -> the shard with pictures on storage."""

    name = "draw"

    def __init__(self, out_uri: str, alpha: Alpha, encoding: str):
        super().__init__(out_uri)
        self.alpha, self.encoding = alpha, encoding

    def work(self, row: Batch) -> Batch:
        poses = decode_shard(row["poses"][0])
        with working("draw"):
            images = draw_images(poses["keypoints"], self.alpha, self.encoding)
            data = encode_shard(poses["index"], poses["keypoints"], poses["confidence"], images)
        return self.commit(int(row["index"][0]), data, json.loads(row["stats"][0]), float(row["busy_s"][0]))
