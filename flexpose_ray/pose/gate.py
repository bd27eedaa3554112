"""The gate: which generated poses are plausible, new within their shard, and no copies of the shots.

It compares a pose with the limits of the source's poses (lengths of limbs, angles between them), with what beta reads
off its drawing, and with other poses. It knows neither files nor what becomes of a rejected pose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.distance import joint_distance, nearest_distance
from flexpose_ray.pose.limits import PoseLimits

REASONS = ("confidence", "limbs", "angles", "round_trip", "duplicate", "copy")
CHUNK = 64  # poses drawn at a time

Read = Callable[[torch.Tensor], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class GateSettings:
    """How strict the gate is.

    Attributes:
        mode: "off" computes nothing, "warn" counts rejected poses, "drop" has them replaced.
        confidence: least mean confidence of a pose's joints, 0 to 1; at 0 every pose passes.
        margin: how far joints may be off before a limb's length or an angle counts as outside the source's limits,
            crop units.
        round_trip: greatest mean joint distance between a pose and beta's reading of its drawing, crop units; None
            skips this check.
        duplicate: mean joint distance to an earlier pose of the shard under which a pose is a duplicate, crop units.
        shot_copy: mean joint distance to the nearest shot under which a pose is a copy, crop units.
    """

    mode: Literal["off", "warn", "drop"] = "warn"
    confidence: float = 0.3
    margin: float = 0.02
    round_trip: float | None = None
    duplicate: float = 0.01
    shot_copy: float = 0.02


@dataclass(frozen=True)
class Verdict:
    """The gate's result for some poses.

    Attributes:
        reason_N: int8, -1 for a pose that passes, else the index in REASONS of the first reason against it.
        nearest_shot_N: float32, mean joint distance to the nearest shot, crop units; NaN where there are no shots.
    """

    reason_N: np.ndarray
    nearest_shot_N: np.ndarray

    @property
    def passes_N(self) -> np.ndarray:
        return self.reason_N < 0

    def counts(self) -> dict[str, int]:
        """Rejected poses by reason, zeros included."""
        found = np.bincount(self.reason_N[self.reason_N >= 0], minlength=len(REASONS))
        return dict(zip(REASONS, found.tolist(), strict=True))


class Gate:
    """Checks poses; the same poses get the same verdict in every process.

    Args:
        alpha: how skeletons are drawn, for the round trip; its skeleton is the poses'.
        limits: those of the source's poses.
        shots_SJ2: the target's annotated poses, crop units; they widen the limits and must not be copied. None where
            the poses should be like the source's.
        settings: how strict.
        read: beta in batches of one fixed shape, ``read(images_NCHW) -> (keypoints_NJ2, confidence_NJ)``.
    """

    def __init__(
        self, alpha: Alpha, limits: PoseLimits, shots_SJ2: np.ndarray | None, settings: GateSettings, read: Read
    ):
        self.alpha, self.shots_SJ2, self.settings, self.read = alpha, shots_SJ2, settings, read
        self.limits = limits if shots_SJ2 is None else limits.widened(shots_SJ2)

    def judge(self, keypoints_NJ2: np.ndarray, confidence_NJ: np.ndarray, kept_MJ2: np.ndarray) -> Verdict:
        """Decide for every pose whether it passes.

        Args:
            keypoints_NJ2: poses of one shard, crop units, in the order of their addresses.
            confidence_NJ: beta's, in [0, 1].
            kept_MJ2: poses of the same shard that passed in earlier calls; a pose may be a duplicate of these or
                of an earlier one in this call.
        """
        n, s = len(keypoints_NJ2), self.settings
        nearest_N = np.full(n, np.nan, np.float32)
        reason_N = np.full(n, -1, np.int8)
        if s.mode == "off" or not n:
            return Verdict(reason_N, nearest_N)
        from flexpose_ray.pose.duplicates import duplicates  # here: actors that judge nothing need not load scipy

        def reject(name: str, bad_N: np.ndarray) -> None:
            reason_N[bad_N & (reason_N < 0)] = REASONS.index(name)

        reject("confidence", ~(confidence_NJ.mean(1) >= s.confidence))
        limbs_N, angles_N = self.limits.broken(keypoints_NJ2, s.margin)
        reject("limbs", limbs_N)
        reject("angles", angles_N)
        if s.round_trip is not None:
            rows = np.flatnonzero(reason_N < 0)
            back_N = np.zeros(n)
            back_N[rows] = joint_distance(self._read_back(keypoints_NJ2[rows]), keypoints_NJ2[rows])
            reject("round_trip", ~(back_N <= s.round_trip))
        if self.shots_SJ2 is not None:
            nearest_N = nearest_distance(keypoints_NJ2, self.shots_SJ2).astype(np.float32)
        copy_N = nearest_N < s.shot_copy
        passes_N = (reason_N < 0) & ~copy_N  # nothing is a duplicate of a copy, which is itself rejected
        reject("duplicate", duplicates(keypoints_NJ2, kept_MJ2, s.duplicate, reason_N < 0, passes_N))
        reject("copy", copy_N)
        return Verdict(reason_N, nearest_N)

    def _read_back(self, keypoints_NJ2: np.ndarray) -> np.ndarray:
        """beta(alpha(k)); OpenCV draws faster than torch on a CPU."""
        parts = [keypoints_NJ2[i : i + CHUNK] for i in range(0, len(keypoints_NJ2), CHUNK)]
        return np.concatenate([self.read(self._drawn(part_NJ2))[0] for part_NJ2 in parts] or [keypoints_NJ2])

    def _drawn(self, keypoints_NJ2: np.ndarray) -> torch.Tensor:
        images_NHWC = torch.as_tensor(np.stack([self.alpha.draw_cv(pose_J2) for pose_J2 in keypoints_NJ2]))
        return images_NHWC.permute(0, 3, 1, 2).float() / 127.5 - 1
