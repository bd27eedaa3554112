"""Limits of a source's poses: how long limbs are, and at which angles they meet."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache, cached_property
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
PART = 2048  # poses measured at a time: what is computed of them stays in a core's cache


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
        lengths_NF, n = seen.shares_FN.T, seen.shares_FN.shape[1]
        rank_NF = lengths_NF.argsort(0).argsort(0)
        level = np.quantile(np.minimum(rank_NF, n - 1 - rank_NF).min(1), RARE) / max(n - 1, 1)
        lengths_F2 = np.quantile(lengths_NF, [level, 1 - level], axis=0).T
        rarity_PB = np.stack([_rarity(b_N[c_N]) for b_N, c_N in zip(seen.bins_PN, seen.clear_PN, strict=True)])
        rarity_PN = np.where(seen.clear_PN, np.take_along_axis(rarity_PB, seen.bins_PN % BINS, 1), 1.0)
        return cls(skeleton, lengths_F2.astype(np.float32), rarity_PB > np.quantile(rarity_PN.min(0), RARE))

    def widened(self, shots_SJ2: np.ndarray) -> PoseLimits:
        """These limits, widened so that the target's shots keep them too, with room around the shots.

        Args:
            shots_SJ2: annotated poses, crop units; they count together with their mirror images.
        """
        seen = _measure(with_mirrored(shots_SJ2, self.skeleton), self.skeleton)
        more_F = SPREAD * seen.shares_FN.std(1)
        low_F = np.minimum(self.lengths_F2[:, 0], seen.shares_FN.min(1) - more_F)
        high_F = np.maximum(self.lengths_F2[:, 1], seen.shares_FN.max(1) + more_F)
        near_PB = np.zeros_like(self.angles_PB)
        near_PB[seen.clear_PN.nonzero()[0], seen.bins_PN[seen.clear_PN]] = True
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
        parts = [self._broken(poses_NJ2[i : i + PART], margin) for i in range(0, max(len(poses_NJ2), 1), PART)]
        return tuple(map(np.concatenate, zip(*parts, strict=True)))

    def _broken(self, poses_NJ2: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
        strict_P, way_PB = self._strict
        seen = _measure(poses_NJ2, self.skeleton, strict_P)
        low_F1, high_F1 = self.lengths_F2.T[..., None]
        slack_FN = margin / seen.units_FN
        fits_FN = (seen.shares_FN >= low_F1 - slack_FN) & (seen.shares_FN <= high_F1 + slack_FN)
        way_PN = way_PB.take(seen.bins_PN + np.arange(BINS // 2, way_PB.size, BINS + 1)[:, None])
        fits_PN = ~seen.clear_PN | (way_PN <= margin * seen.turn_PN)
        return ~fits_FN.all(0), ~fits_PN.all(0)

    @cached_property
    def _strict(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of limbs with angles that do not occur, and radians to the nearest that does, from bins -36 to 36."""
        strict_P = np.flatnonzero(~self.angles_PB.all(1))
        return strict_P, _radians_to_allowed(self.angles_PB[strict_P])[:, np.arange(-BINS // 2, BINS // 2 + 1)]

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


@cache
def limb_pairs(skeleton: Skeleton) -> np.ndarray:
    """Every pair of limbs with a common joint: int64 (P, 3), the numbers of both limbs, and 1, or -1 where one of them
    ends at that joint and the other one begins there."""
    found = []
    for (one, (a, b)), (other, (c, d)) in itertools.combinations(enumerate(skeleton.limbs), 2):
        for joint in {a, b} & {c, d}:
            found.append((one, other, 1 if (joint == a) == (joint == c) else -1))
    return np.array(found, np.int64)


class _Measures(NamedTuple):
    shares_FN: np.ndarray  # limbs' lengths over the pose's scale, and that scale
    units_FN: np.ndarray  # what these are shares of, in crop units
    bins_PN: np.ndarray  # of the limbs' angles, -BINS / 2 to BINS / 2
    turn_PN: np.ndarray  # radians that the angle turns by when both limbs' ends move by one crop unit
    clear_PN: np.ndarray  # whether both limbs are long enough to have a direction


def _measure(poses_NJ2: np.ndarray, skeleton: Skeleton, which_P: np.ndarray | slice = slice(None)) -> _Measures:
    """Measure poses; of the pairs of limbs only those asked for."""
    x_JN, y_JN = np.ascontiguousarray(np.transpose(poses_NJ2, (2, 1, 0)), np.float64)
    scale_N = np.maximum(_median(_norm(x_JN - _median(x_JN), y_JN - _median(y_JN))), TINY)
    start_L, end_L = skeleton.limbs_LK.T
    dx_LN, dy_LN = x_JN[end_L] - x_JN[start_L], y_JN[end_L] - y_JN[start_L]
    length_LN = _norm(dx_LN, dy_LN)
    one_P, other_P, sign_P = limb_pairs(skeleton)[which_P].T
    ax_PN, ay_PN, bx_PN, by_PN = dx_LN[one_P], dy_LN[one_P], dx_LN[other_P], dy_LN[other_P]
    cross_PN, dot_PN = (ax_PN * by_PN - ay_PN * bx_PN), (ax_PN * bx_PN + ay_PN * by_PN)
    turns_PN = _angle(sign_P[:, None] * cross_PN, sign_P[:, None] * dot_PN) * (BINS / (2 * np.pi))
    longer_LN = np.maximum(length_LN, TINY)
    turn_LN, clear_LN = 1 / longer_LN, longer_LN >= SHORT * scale_N
    return _Measures(
        np.concatenate([length_LN / scale_N, scale_N[None]]),
        np.concatenate([np.broadcast_to(scale_N, length_LN.shape), np.ones_like(scale_N)[None]]),
        np.rint(np.fmax(turns_PN, -BINS / 2)).astype(np.int64),  # also where there is no angle
        turn_LN[one_P] + turn_LN[other_P],
        clear_LN[one_P] & clear_LN[other_P],
    )


def _norm(x_JN: np.ndarray, y_JN: np.ndarray) -> np.ndarray:
    return np.sqrt(x_JN * x_JN + y_JN * y_JN)


def _angle(y_PN: np.ndarray, x_PN: np.ndarray) -> np.ndarray:
    return torch.atan2(torch.as_tensor(y_PN), torch.as_tensor(x_PN)).numpy()  # numpy's takes twice as long


def _median(x_JN: np.ndarray) -> np.ndarray:
    """Median of every column, NaN where a value is: ``np.median`` takes ten times as long for few joints."""
    x_NJ, joints = np.sort(np.ascontiguousarray(x_JN.T), 1), len(x_JN)  # NaN comes last
    middle_N = (x_NJ[:, (joints - 1) // 2] + x_NJ[:, joints // 2]) / 2
    return np.where(np.isnan(x_NJ[:, -1]), np.nan, middle_N)


def _rarity(bins_N: np.ndarray) -> np.ndarray:
    """For every bin the share of angles in bins that are no fuller, float64 (BINS,)."""
    count_B = np.bincount(bins_N % BINS, minlength=BINS).astype(np.float64)
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
