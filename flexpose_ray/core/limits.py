"""What poses of a source look like: how long limbs are, and at which angles they meet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.core.geometry import flip
from flexpose_ray.core.skeleton import Skeleton

RARE = 0.005  # share of the source's poses that lie outside of its limits of length, and as many outside of the angles'
BINS = 72  # of 5 degrees
SHORT = 0.15  # limbs below this share of the pose's scale point nowhere in particular: no angle is taken at them
SMOOTH = (1, 2, 3, 2, 1)  # over bins, so that a small source has no gaps by chance


@dataclass(frozen=True)
class PoseLimits:
    """Limits of limb lengths and angles, the same on the left and on the right.

    Attributes:
        skeleton: of the poses.
        lengths_F2: float32, least and greatest log of every limb's length as a share of the pose's scale, and in the
            last row of that scale itself in crop units.
        angles_PB: bool, for every pair of limbs with a joint in common the angles that occur, in bins of 5 degrees, the
            first one around 0.
    """

    skeleton: Skeleton
    lengths_F2: np.ndarray
    angles_PB: np.ndarray

    @classmethod
    def of(cls, poses_NJ2: np.ndarray, skeleton: Skeleton) -> PoseLimits:
        """Limits that all but a rare pose keep.

        Args:
            poses_NJ2: source poses, crop units; they count together with their mirror images.
        """
        lengths_NF, bins_NP, clear_NP = _measure(_both_sides(poses_NJ2, skeleton), skeleton)
        n = len(lengths_NF)
        rank_NF = lengths_NF.argsort(0).argsort(0)
        level = np.quantile(np.minimum(rank_NF, n - 1 - rank_NF).min(1), RARE) / (n - 1)
        lengths_F2 = np.quantile(lengths_NF, [level, 1 - level], axis=0).T
        rarity_PB = np.stack([_rarity(bins_NP[clear_NP[:, p], p]) for p in range(bins_NP.shape[1])])
        rarity_NP = np.where(clear_NP, rarity_PB[np.arange(len(rarity_PB)), bins_NP], 1.0)
        return cls(skeleton, lengths_F2.astype(np.float32), rarity_PB > np.quantile(rarity_NP.min(1), RARE))

    def widened(self, shots_SJ2: np.ndarray, spread: float = 1.0, room: float = 0.35) -> PoseLimits:
        """Limits that keep the target's shots too, with room around them: shots are evidence that such limbs exist.

        Args:
            shots_SJ2: annotated poses, crop units; they count together with their mirror images.
            spread: room around the shots' lengths, in standard deviations of theirs.
            room: around every angle of a shot, radians.
        """
        lengths_SF, bins_SP, clear_SP = _measure(_both_sides(shots_SJ2, self.skeleton), self.skeleton)
        more_F = spread * lengths_SF.std(0)
        low_F = np.minimum(self.lengths_F2[:, 0], lengths_SF.min(0) - more_F)
        high_F = np.maximum(self.lengths_F2[:, 1], lengths_SF.max(0) + more_F)
        seen_PB = np.zeros_like(self.angles_PB)
        rows_S, pairs_S = np.nonzero(clear_SP)
        seen_PB[pairs_S, bins_SP[rows_S, pairs_S]] = True
        lengths_F2 = np.stack([low_F, high_F], 1).astype(np.float32)
        return PoseLimits(self.skeleton, lengths_F2, self.angles_PB | _dilated(seen_PB, room))

    def broken(self, poses_NJ2: np.ndarray, margin: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Which poses have a limb, and which an angle, further than ``margin`` outside of the limits: two bool (N,).

        Args:
            poses_NJ2: crop units; one that is not finite breaks all limits.
            margin: of lengths their share, of angles radians (rounded to bins).
        """
        lengths_NF, bins_NP, clear_NP = _measure(poses_NJ2, self.skeleton)
        low_F, high_F = self.lengths_F2.T
        fits_NF = (lengths_NF >= low_F - margin) & (lengths_NF <= high_F + margin)
        open_PB = _dilated(self.angles_PB, margin)
        fits_NP = ~clear_NP | open_PB[np.arange(len(open_PB)), bins_NP]
        return ~fits_NF.all(1), ~fits_NP.all(1)

    def tensors(self) -> dict[str, torch.Tensor]:
        """What is to be saved; :meth:`from_tensors` takes it back."""
        return {"gate.lengths": torch.as_tensor(self.lengths_F2), "gate.angles": torch.as_tensor(self.angles_PB)}

    @classmethod
    def from_tensors(cls, tensors: dict[str, torch.Tensor], skeleton: Skeleton) -> PoseLimits:
        """The limits among a model's tensors.

        Raises:
            KeyError: there are none.
        """
        return cls(skeleton, tensors["gate.lengths"].numpy(), tensors["gate.angles"].numpy())


def limb_pairs(skeleton: Skeleton) -> np.ndarray:
    """Every pair of limbs with a joint in common: int64 (P, 3), that joint and the limbs' other ends."""
    found = []
    for (a, b), (c, d) in itertools.combinations(skeleton.limbs, 2):
        for joint in {a, b} & {c, d}:
            found.append((joint, a + b - joint, c + d - joint))
    return np.array(found, np.int64)


def _measure(poses_NJ2: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log lengths (N, L + 1), angles in bins (N, P), and whether both of its limbs are long enough for an angle."""
    k_NJ2 = np.asarray(poses_NJ2, np.float64)
    from_middle_NJ2 = k_NJ2 - np.median(k_NJ2, axis=1, keepdims=True)
    scale_N = np.maximum(np.median(np.hypot(from_middle_NJ2[..., 0], from_middle_NJ2[..., 1]), axis=1), 1e-6)
    start_L, end_L = skeleton.limbs_LK.T
    along_NL2 = k_NJ2[:, end_L] - k_NJ2[:, start_L]
    length_NL = np.hypot(along_NL2[..., 0], along_NL2[..., 1])
    share_NL = np.maximum(length_NL / scale_N[:, None], 1e-6)
    lengths_NF = np.log(np.concatenate([share_NL, scale_N[:, None]], 1))
    joint_P, one_P, other_P = limb_pairs(skeleton).T
    a_NP2, b_NP2 = k_NJ2[:, one_P] - k_NJ2[:, joint_P], k_NJ2[:, other_P] - k_NJ2[:, joint_P]
    cross_NP = a_NP2[..., 0] * b_NP2[..., 1] - a_NP2[..., 1] * b_NP2[..., 0]
    angle_NP = np.nan_to_num(np.arctan2(cross_NP, (a_NP2 * b_NP2).sum(2)))
    bins_NP = np.rint(angle_NP * (BINS / (2 * np.pi))).astype(np.int64) % BINS
    shorter_NP = np.minimum(np.hypot(a_NP2[..., 0], a_NP2[..., 1]), np.hypot(b_NP2[..., 0], b_NP2[..., 1]))
    return lengths_NF, bins_NP, ~(shorter_NP < SHORT * scale_N[:, None])


def _rarity(bins_N: np.ndarray) -> np.ndarray:
    """For every bin the share of angles that lie in bins no fuller than it, float64 (BINS,)."""
    count_B = np.bincount(bins_N, minlength=BINS).astype(np.float64)
    reach = len(SMOOTH) // 2
    smooth_B = sum(weight * np.roll(count_B, i - reach) for i, weight in enumerate(SMOOTH))
    order_B = smooth_B.argsort(kind="stable")
    rarity_B = np.empty(BINS)
    rarity_B[order_B] = smooth_B[order_B].cumsum() / max(smooth_B.sum(), 1e-12)
    return rarity_B


def _dilated(open_PB: np.ndarray, room: float) -> np.ndarray:
    """The bins, and those within ``room`` radians of them."""
    steps = round(room * BINS / (2 * np.pi))
    return np.any([np.roll(open_PB, step, axis=1) for step in range(-steps, steps + 1)], axis=0)


def _both_sides(poses_NJ2: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    return np.concatenate([poses_NJ2, flip(poses_NJ2, skeleton)])
