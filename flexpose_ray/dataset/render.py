"""One shard from its address: everything that decides over its bytes lies in the data set itself."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from flexpose_ray.dataset.manifest import MODEL, RUN_KEY, ShardId
from flexpose_ray.dataset.pictures import draw_images
from flexpose_ray.dataset.shards import encode_shard
from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.pose.gate import REASONS, Gate, GateSettings
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.storage.base import Store, read_json

STRIDE = 2**40  # from the address of a rejected pose to that of its replacement; no data set has as many poses
ROUNDS = 32  # of replacements, before the gate is said to reject nearly everything


@dataclass(frozen=True)
class Poses:
    """The poses of a shard and what its commit tells of them."""

    index_N: np.ndarray
    keypoints_NJ2: np.ndarray
    confidence_NJ: np.ndarray
    stats: dict[str, Any]

    def encode(self, images: list[bytes] | None = None) -> bytes:
        return encode_shard(self.index_N, self.keypoints_NJ2, self.confidence_NJ, images)


class ShardRenderer:
    """Samples, gates and draws the shards of one data set.

    Args:
        store: the data set, with its ``run.json`` and its model.
        device: where the networks run.

    Raises:
        WeightsError: the model is missing, damaged, or not the one of ``run.json``.
        MissingKeyError: no ``run.json``.
    """

    def __init__(self, store: Store, device: str = "cpu"):
        self.threads = 1  # a pool has an actor for every core; also, bytes must not depend on the machine
        torch.backends.cudnn.deterministic = True
        run = read_json(store, RUN_KEY)
        self.seed, self.shard_size, self.images = run["seed"], run["shard_size"], run["images"]
        self.sampler = load_sampler(f"{store.uri}/{MODEL}", run["batch"], device, store.patience_s)
        if self.sampler.digest != run["generator"]:
            problem = f"holds generator {self.sampler.digest[:16]}, the run began with {run['generator'][:16]}"
            hint = "repeat `flexpose generate` with the generator that it began with"
            raise WeightsError(f"{store.uri}/{MODEL}", problem, hint)
        self.settings = GateSettings(**run["gate"])
        skeleton = get_skeleton(run["skeleton"])
        self.gate = Gate(
            self.sampler.alpha, self.sampler.limits, self.sampler.shots_SJ2, self.settings, self.sampler.read
        )
        self.empty_0J2 = np.empty((0, skeleton.n_joints, 2), np.float32)

    def poses(self, shard: ShardId) -> Poses:
        """Sample the shard; where the gate drops a pose, its replacement takes its place.

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
        address_N = np.arange(shard.rows, dtype=np.int64) + shard.index * self.shard_size
        poses = Poses(address_N, *self.sampler.sample(self.seed, address_N), {"rows": shard.rows, "drawn": shard.rows})
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
        """Fill the bad places from addresses of their own until all poses pass; updates all that is given."""
        for _ in range(ROUNDS):
            (at_B,) = bad_N.nonzero()
            if not len(at_B):
                return
            poses.index_N[at_B] += STRIDE
            keypoints_BJ2, confidence_BJ = self.sampler.sample(self.seed, poses.index_N[at_B])
            verdict = self.gate.judge(keypoints_BJ2, confidence_BJ, poses.keypoints_NJ2[~bad_N])
            poses.keypoints_NJ2[at_B], poses.confidence_NJ[at_B] = keypoints_BJ2, confidence_BJ
            nearest_N[at_B], bad_N[at_B] = verdict.nearest_shot_N, ~verdict.passes_N
            rejects.update(verdict.counts())
            poses.stats["drawn"] += len(at_B)
        if bad_N.any():
            told = ", ".join(f"{reason} {n:,}" for reason, n in rejects.most_common(3))
            problem = f"rejects nearly every pose at {int(bad_N.sum())} places of one shard ({told})"
            raise ConfigError("generate.gate", problem, "loosen it, or set generate.gate.mode=warn and look at them")

    def encoded(self, shard: ShardId) -> bytes:
        """The shard's bytes, with its pictures where the data set has them."""
        poses = self.poses(shard)
        return poses.encode(draw_images(poses.keypoints_NJ2, self.sampler.alpha, self.images) if self.images else None)
