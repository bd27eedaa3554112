"""Limits of a source's poses: how long limbs are, and at which angles they meet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.skeleton import Skeleton

RARE = 0.01  # share of the source's poses outside of the limits of length; as many are outside of those of angles
BINS = 72  # of 5 degrees
SHORT = 0.15  # of the pose's scale; the direction of a shorter limb, and so its angles, mean nothing
FIXED = 0.99  # share in one bin above which an angle is a definition (a neck between shoulders), not a limit
SMOOTH = (1, 2, 3, 2, 1)  # weights of neighbouring bins, against chance gaps of a small source
TINY = 1e-9
MOST = 100_000  # source poses that are measured
SPREAD = 1.0  # room around the shots' lengths, in their standard deviations
ROOM = 0.35  # room around a shot's angles, radians


@dataclass(frozen=True, eq=False)
class PoseLimits:
    """Limits of limb lengths and angles, the same on the left and on the right.

    Attributes:
        skeleton: of the poses.
        lengths_F2: float32, least and greatest length of every limb as a share of the pose's scale; the last row is
            for that scale itself, in crop units. F is L + 1 here.
        angles_PB: bool, which angles occur, for each of the P pairs of limbs with a common joint, in B bins of 5
            degrees, the first one around 0.
    """

    skeleton: Skeleton
    lengths_F2: np.ndarray
    angles_PB: np.ndarray

    @classmethod
    def of(cls, poses_NJ2: np.ndarray, skeleton: Skeleton) -> PoseLimits:
        """The limits that all but rare poses keep.

        Args:
            poses_NJ2: source poses, crop units; they count together with their mirror images.
        """
        every = -(-len(poses_NJ2) // MOST)
        seen = _measure(with_mirrored(poses_NJ2[::every], skeleton), skeleton)
        lengths_NF, n = seen.shares_NF, len(seen.shares_NF)
        rank_NF = lengths_NF.argsort(0).argsort(0)
        level = np.quantile(np.minimum(rank_NF, n - 1 - rank_NF).min(1), RARE) / max(n - 1, 1)
        lengths_F2 = np.quantile(lengths_NF, [level, 1 - level], axis=0).T
        rarity_PB = np.stack([_rarity(seen.bins_NP[seen.clear_NP[:, p], p]) for p in range(seen.bins_NP.shape[1])])
        rarity_NP = np.where(seen.clear_NP, rarity_PB[np.arange(len(rarity_PB)), seen.bins_NP], 1.0)
        return cls(skeleton, lengths_F2.astype(np.float32), rarity_PB > np.quantile(rarity_NP.min(1), RARE))

    def widened(self, shots_SJ2: np.ndarray) -> PoseLimits:
        """These limits, widened so that the target's shots keep them too, with room around the shots.

        Args:
            shots_SJ2: annotated poses, crop units; they count together with their mirror images.
        """
        seen = _measure(with_mirrored(shots_SJ2, self.skeleton), self.skeleton)
        more_F = SPREAD * seen.shares_NF.std(0)
        low_F = np.minimum(self.lengths_F2[:, 0], seen.shares_NF.min(0) - more_F)
        high_F = np.maximum(self.lengths_F2[:, 1], seen.shares_NF.max(0) + more_F)
        near_PB = np.zeros_like(self.angles_PB)
        rows_S, pairs_S = np.nonzero(seen.clear_NP)
        near_PB[pairs_S, seen.bins_NP[rows_S, pairs_S]] = True
        near_PB = _radians_to_allowed(near_PB) <= ROOM
        lengths_F2 = np.stack([low_F, high_F], 1).astype(np.float32)
        return PoseLimits(self.skeleton, lengths_F2, self.angles_PB | near_PB)

    def broken(self, poses_NJ2: np.ndarray, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Find the poses with a limb, and those with an angle, outside of the limits: two bool (N,).

        Args:
            poses_NJ2: crop units; one that is not finite breaks all limits.
            margin: how far joints may be off, crop units. A length passes if it is outside by no more than that, an
                angle if moving the limbs' ends that far turns it into the limits; so shorter limbs may turn further.
        """
        seen = _measure(poses_NJ2, self.skeleton)
        low_F, high_F = self.lengths_F2.T
        slack_NF = margin / seen.units_NF
        fits_NF = (seen.shares_NF >= low_F - slack_NF) & (seen.shares_NF <= high_F + slack_NF)
        way_PB = _radians_to_allowed(self.angles_PB)
        fits_NP = ~seen.clear_NP | (way_PB[np.arange(len(way_PB)), seen.bins_NP] <= margin * seen.turn_NP)
        return ~fits_NF.all(1), ~fits_NP.all(1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """The limits as tensors to save; :meth:`from_tensors` is the inverse."""
        return {"gate.lengths": torch.as_tensor(self.lengths_F2), "gate.angles": torch.as_tensor(self.angles_PB)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor], skeleton: Skeleton) -> PoseLimits:
        """Read the limits from a model's tensors.

        Raises:
            KeyError: there are none.
        """
        return cls(skeleton, tensors["gate.lengths"].numpy(), tensors["gate.angles"].numpy())


def limb_pairs(skeleton: Skeleton) -> np.ndarray:
    """Every pair of limbs with a common joint: int64 (P, 3), that joint and the limbs' other ends."""
    found = []
    for (a, b), (c, d) in itertools.combinations(skeleton.limbs, 2):
        for joint in {a, b} & {c, d}:
            found.append((joint, a + b - joint, c + d - joint))
    return np.array(found, np.int64)


class _Measures(NamedTuple):
    shares_NF: np.ndarray  # limbs' lengths over the pose's scale, and that scale
    units_NF: np.ndarray  # what these are shares of, in crop units
    bins_NP: np.ndarray  # of the limbs' angles
    turn_NP: np.ndarray  # radians that the angle turns by when both limbs' ends move by one crop unit
    clear_NP: np.ndarray  # whether both limbs are long enough to have a direction


def _measure(poses_NJ2: np.ndarray, skeleton: Skeleton) -> _Measures:
    k_NJ2 = np.asarray(poses_NJ2, np.float64)
    from_middle_NJ2 = k_NJ2 - np.median(k_NJ2, axis=1, keepdims=True)
    scale_N1 = np.maximum(np.median(_norm(from_middle_NJ2), axis=1, keepdims=True), TINY)
    start_L, end_L = skeleton.limbs_LK.T
    length_NL = _norm(k_NJ2[:, end_L] - k_NJ2[:, start_L])
    joint_P, one_P, other_P = limb_pairs(skeleton).T
    a_NP2, b_NP2 = k_NJ2[:, one_P] - k_NJ2[:, joint_P], k_NJ2[:, other_P] - k_NJ2[:, joint_P]
    cross_NP = a_NP2[..., 0] * b_NP2[..., 1] - a_NP2[..., 1] * b_NP2[..., 0]
    angle_NP = np.nan_to_num(np.arctan2(cross_NP, (a_NP2 * b_NP2).sum(2)))
    a_NP, b_NP = np.maximum(_norm(a_NP2), TINY), np.maximum(_norm(b_NP2), TINY)
    return _Measures(
        np.concatenate([length_NL / scale_N1, scale_N1], 1),
        np.concatenate([np.broadcast_to(scale_N1, length_NL.shape), np.ones_like(scale_N1)], 1),
        np.rint(angle_NP * (BINS / (2 * np.pi))).astype(np.int64) % BINS,
        1 / a_NP + 1 / b_NP,
        np.minimum(a_NP, b_NP) >= SHORT * scale_N1,
    )


def _norm(x_NJ2: np.ndarray) -> np.ndarray:
    return np.hypot(x_NJ2[..., 0], x_NJ2[..., 1])


def _rarity(bins_N: np.ndarray) -> np.ndarray:
    """For every bin the share of angles in bins that are no fuller, float64 (BINS,)."""
    count_B = np.bincount(bins_N, minlength=BINS).astype(np.float64)
    reach = len(SMOOTH) // 2
    smooth_B = sum(weight * np.roll(count_B, i - reach) for i, weight in enumerate(SMOOTH))
    if count_B.max() > FIXED * count_B.sum():
        return np.ones(BINS)
    return (smooth_B <= smooth_B[:, None]) @ smooth_B / max(smooth_B.sum(), 1.0)


def _radians_to_allowed(allowed_PB: np.ndarray) -> np.ndarray:
    """Radians from every bin to the nearest allowed one: 0 in an allowed bin, infinite where there is none."""
    steps_B = np.minimum(np.arange(BINS), BINS - np.arange(BINS))
    turned_PBB = np.stack([np.roll(allowed_PB, -bin, axis=1) for bin in range(BINS)], 1)
    return np.where(turned_PBB, steps_B * (2 * np.pi / BINS), np.inf).min(2)
