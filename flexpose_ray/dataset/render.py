"""Rendering shards: everything that decides over a shard's bytes lies in the data set itself. No Ray is needed."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from flexpose_ray.dataset.commits import ShardEntry, commit_shard
from flexpose_ray.dataset.layout import MODEL, ShardId
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.run_spec import BF16, RunSpec
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.pose.gate import REASONS, Gate, GateSettings
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.storage.base import Store

STRIDE = 2**40  # from the address of a rejected pose to that of its replacement; no data set has as many poses
ROUNDS = 32  # of replacements, after which the gate counts as one that rejects nearly everything


@dataclass(frozen=True)
class Poses:
    """The poses of a shard, and the statistics that its commit holds."""

    index_N: np.ndarray
    keypoints_NJ2: np.ndarray
    confidence_NJ: np.ndarray
    stats: dict[str, Any]

    def encode(self, images: list[bytes] | None = None, confidence: str | None = None) -> bytes:
        return encode_shard(self.index_N, self.keypoints_NJ2, self.confidence_NJ, images, confidence)


class ShardRenderer:
    """Samples, gates and draws the shards of one data set.

    Args:
        store: the data set, with its model.
        run: what its poses depend on.
        device: where the networks run.

    Raises:
        WeightsError: the model is missing, damaged, or not the one of ``run``.
    """

    def __init__(self, store: Store, run: RunSpec, device: str = "cpu"):
        self.threads = 1  # a pool has an actor for every core; also, bytes must not depend on the machine
        torch.backends.cudnn.deterministic = True
        self.store, self.run = store, run
        bf16 = run.precision == BF16
        self.sampler = load_sampler(f"{store.uri}/{MODEL}", run.batch, device, store.patience_s, bf16)
        if self.sampler.digest != run.generator:
            problem = f"holds generator {self.sampler.digest[:16]}, the run began with {run.generator[:16]}"
            hint = "repeat `flexpose generate` with the generator that it began with"
            raise WeightsError(f"{store.uri}/{MODEL}", problem, hint)
        self.settings = GateSettings(**run.gate)
        skeleton = get_skeleton(run.skeleton)
        self.gate = Gate(
            self.sampler.alpha, self.sampler.limits, self.sampler.shots_SJ2, self.settings, self.sampler.read
        )
        self.empty_0J2 = np.empty((0, skeleton.n_joints, 2), np.float32)

    def poses(self, shard: ShardId) -> Poses:
        """Sample a shard; where the gate drops a pose, a replacement takes its place.

        Raises:
            ConfigError: the gate rejects so much that places stay empty.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            return self._poses(shard)
        finally:
            torch.set_num_threads(before)

    def _poses(self, shard: ShardId) -> Poses:
        address_N = np.arange(shard.rows, dtype=np.int64) + shard.index * self.run.shard_size
        stats = {"rows": shard.rows, "drawn": shard.rows}
        poses = Poses(address_N, *self.sampler.sample(self.run.seed, address_N), stats)
        if self.settings.mode == "off":
            return poses
        verdict = self.gate.judge(poses.keypoints_NJ2, poses.confidence_NJ, self.empty_0J2)
        nearest_N, rejects = verdict.nearest_shot_N, Counter(verdict.counts())
        if self.settings.mode == "drop":
            self._replace(poses, ~verdict.passes_N, nearest_N, rejects)
        poses.stats["rejects"] = {reason: rejects[reason] for reason in REASONS if rejects[reason]}
        if not math.isnan(nearest := float(nearest_N.mean(dtype=np.float64))):
            poses.stats["nearest_shot"] = {"mean": round(nearest, 6), "least": round(float(nearest_N.min()), 6)}
        return poses

    def _replace(self, poses: Poses, bad_N: np.ndarray, nearest_N: np.ndarray, rejects: Counter[str]) -> None:
        """Fill the bad places from other addresses until all poses pass; updates its arguments in place."""
        for _ in range(ROUNDS):
            (at_B,) = bad_N.nonzero()
            if not len(at_B):
                return
            poses.index_N[at_B] += STRIDE
            keypoints_BJ2, confidence_BJ = self.sampler.sample(self.run.seed, poses.index_N[at_B])
            verdict = self.gate.judge(keypoints_BJ2, confidence_BJ, poses.keypoints_NJ2[~bad_N])
            poses.keypoints_NJ2[at_B], poses.confidence_NJ[at_B] = keypoints_BJ2, confidence_BJ
            nearest_N[at_B], bad_N[at_B] = verdict.nearest_shot_N, ~verdict.passes_N
            rejects.update(verdict.counts())
            poses.stats["drawn"] += len(at_B)
        if bad_N.any():
            reasons = ", ".join(f"{reason} {n:,}" for reason, n in rejects.most_common(3))
            problem = f"rejects nearly every pose at {int(bad_N.sum())} places of one shard ({reasons})"
            raise ConfigError("generate.gate", problem, "loosen it, or set generate.gate.mode=warn and look at them")

    def encode(self, shard: ShardId) -> tuple[bytes, dict[str, Any]]:
        """A shard's bytes, with its pictures where the data set has them, and the statistics for its commit."""
        poses, encoding = self.poses(shard), self.run.images
        images = draw_images(poses.keypoints_NJ2, self.sampler.alpha, encoding) if encoding else None
        return poses.encode(images, self.run.confidence), poses.stats


class Rendered(NamedTuple):
    """A shard that was rendered and committed, and the seconds that both steps took."""

    entry: ShardEntry
    render_s: float
    commit_s: float


def render_and_commit(renderer: ShardRenderer, shard: ShardId) -> Rendered:
    """Render one shard of the renderer's data set and commit it there.

    Raises:
        ConfigError: the gate rejects nearly everything.
        NonDeterminismError: the shard is committed with other bytes.
        StorageError: the data set cannot be written.
    """
    began = time.monotonic()
    data, stats = renderer.encode(shard)
    encoded = time.monotonic()
    entry = commit_shard(renderer.store, shard.index, data, stats)
    return Rendered(entry, encoded - began, time.monotonic() - encoded)
