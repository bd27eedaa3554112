"""Stages of mass sampling: classes whose actors Ray Data feeds one shard at a time.

An actor gets the data set's address and its run, never weights. It loads the model at its first shard, so that a
failure reaches the driver as itself and not as an actor that could not start.
"""

from __future__ import annotations

import json
import time
from functools import cached_property
from typing import Any

import numpy as np

from flexpose_ray.dataset.commits import commit_shard
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.render import ShardRenderer, render_and_commit
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.dataset.shards import decode_shard, encode_shard
from flexpose_ray.engine.runtime.metrics import QUEUE_WAIT, record_shard, record_work, working
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.open import open_store

PATIENCE_S = 120.0  # how long an actor outlasts a storage server that is away; the driver reports sooner
Batch = dict[str, np.ndarray]  # of one row


class _Stage:
    """An actor of the data set at ``out_uri``."""

    name = "sample"

    def __init__(self, out_uri: str, run: RunSpec):
        self.store, self.run = open_store(out_uri, PATIENCE_S), run
        self.free_since = time.monotonic()

    def __call__(self, row: Batch) -> Batch:
        QUEUE_WAIT.record(time.monotonic() - self.free_since, stage=self.name)
        result = self.work(row)
        self.free_since = time.monotonic()
        return result


class SampleShard(_Stage):
    """A shard's index and rows -> its poses, as the bytes of a shard without pictures."""

    def __init__(self, out_uri: str, run: RunSpec, device: str):
        super().__init__(out_uri, run)
        self.device = device

    @cached_property
    def renderer(self) -> ShardRenderer:
        return ShardRenderer(self.store, self.run, self.device)

    def work(self, row: Batch) -> Batch:
        began = time.monotonic()
        poses = self.renderer.poses(_shard_of(row))
        data, busy_s = poses.encode(), time.monotonic() - began
        record_work("sample", busy_s, self.device)
        return {
            "index": row["index"],
            "poses": np.array([data], object),
            "stats": np.array([json.dumps(poses.stats)], object),
            "busy_s": np.array([busy_s]),
        }


class SampleAndCommit(SampleShard):
    """A shard's index and rows -> the shard on storage; for data sets without pictures."""

    def work(self, row: Batch) -> Batch:
        began, renderer = time.monotonic(), self.renderer
        loading_s = time.monotonic() - began
        done = render_and_commit(renderer, _shard_of(row))
        record_work("sample", loading_s + done.render_s, self.device)
        record_work("commit", done.commit_s)
        return _counted(done.entry.stats, loading_s + done.render_s)


class DrawAndCommit(_Stage):
    """The poses of :class:`SampleShard` -> the shard with pictures on storage."""

    name = "draw"

    @cached_property
    def alpha(self) -> Alpha:
        return Alpha(**self.run.alpha)

    def work(self, row: Batch) -> Batch:
        poses, stats = decode_shard(row["poses"][0]), json.loads(row["stats"][0])
        with working("draw"):
            images = draw_images(poses["keypoints"], self.alpha, self.run.images)
            columns = poses["index"], poses["keypoints"], poses["confidence"]
            data = encode_shard(*columns, images, self.run.confidence)
        with working("commit"):
            commit_shard(self.store, int(row["index"][0]), data, stats)
        return _counted(stats, float(row["busy_s"][0]))


def _shard_of(row: Batch) -> ShardId:
    return ShardId(int(row["index"][0]), int(row["rows"][0]))


def _counted(stats: dict[str, Any], busy_s: float) -> Batch:
    """Count a committed shard in the metrics; only a few numbers go back to the driver."""
    record_shard(stats)
    return {"rows": np.array([stats["rows"]]), "busy_s": np.array([busy_s])}
