"""Poses of a shard that nearly repeat an earlier one, found without comparing every pair.

A projection of all joints, each onto a unit vector of its own, averaged over joints, differs between two poses by no
more than their mean joint distance. So poses that are near each other lie in the same or in neighbouring cells of a
grid over such projections.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from flexpose_ray.pose.distance import joint_distance

VIEWS = 8  # projections that separate distant poses cheaply; the first is sorted by, the next two make the grid
FITTED = 4096  # poses that the projections are fitted to
CELLS = 4096  # of the grid along a side, at most
PAIRS = 2**20  # pairs of neighbours from which on the earlier half of the poses is done first
AT_ONCE = 2**15  # pairs compared at a time; they stay in a core's cache
ROUGH = 1e-4  # bound on the relative error of a distance in float32
ROUNDING = 1e-6  # bound on the error of a projection in float32, a share of the projections' extent


def duplicates(
    keypoints_NJ2: np.ndarray, kept_MJ2: np.ndarray, bound: float, judged_N: np.ndarray, stays_N: np.ndarray
) -> np.ndarray:
    """Find the poses that are nearer than ``bound`` to an earlier one that stays.

    Args:
        keypoints_NJ2: poses in order, crop units.
        kept_MJ2: poses that stay and came before all of these.
        bound: mean joint distance, crop units.
        judged_N: poses to judge, which are finite; the others are never duplicates.
        stays_N: those of them that stay unless they are duplicates; no pose is a duplicate of one of the others.

    Returns:
        duplicate_N: bool.
    """
    duplicate_N = np.zeros(len(keypoints_NJ2), bool)
    rows = np.flatnonzero(judged_N)
    if bound <= 0 or not len(rows):
        return duplicate_N
    poses_MJ2 = np.concatenate([kept_MJ2, keypoints_NJ2.take(rows, 0)])
    search = _Search(poses_MJ2, bound, np.concatenate([np.ones(len(kept_MJ2), bool), stays_N[rows]]))
    new_M = search.order_M >= len(kept_MJ2)
    new = np.flatnonzero(new_M)
    search.repeats(new, np.flatnonzero(~new_M))
    search.among(new[~search.duplicate_M[new]])
    duplicate_N[rows[search.order_M[new] - len(kept_MJ2)]] = search.duplicate_M[new]
    return duplicate_N


class _Windows(NamedTuple):
    """Places between which every pose has its neighbours in one of the cells around it, by the first projection."""

    of_W: np.ndarray  # poses
    low_W: np.ndarray  # places among the poses that were looked through
    high_W: np.ndarray

    @property
    def size(self) -> int:
        return int((self.high_W - self.low_W).sum())

    def parts(self) -> Iterator[_Windows]:
        """Windows with few pairs, so that what is computed of them stays in a core's cache."""
        end_W = (self.high_W - self.low_W).cumsum()
        cuts = np.searchsorted(end_W, np.arange(AT_ONCE, end_W[-1:].sum(), AT_ONCE))
        yield from map(_Windows, *(np.split(column, cuts) for column in self))


class _Search:
    """Decides over poses in their order. It numbers them by their places in the grid, so numbers are always ascending.

    Attributes:
        order_M: place of every pose in the order of ``poses_MJ2``.
        duplicate_M: the poses found so far.
    """

    def __init__(self, poses_MJ2: np.ndarray, bound: float, stays_M: np.ndarray):
        view_MV = _project(poses_MJ2)
        view_MV -= view_MV.min(0)
        extent = max(bound, float(view_MV.max()))
        self.bound, self.reach = bound, bound + ROUNDING * extent
        cell_M2 = (view_MV[:, 1:3] / max(self.reach, extent / CELLS)).astype(np.int64)
        # Cells lie 4 apart and windows reach no further than 2 out of theirs, so that none reaches into another.
        code_M = 4.0 * (cell_M2 @ [CELLS + 2, 1]) + view_MV[:, 0] / extent
        self.window, self.order_M = self.reach / extent, np.argsort(code_M)
        self.code_M, self.view_VM = code_M[self.order_M], np.ascontiguousarray(view_MV[self.order_M].T)
        self.poses_MJ2, self.stays_M = poses_MJ2.take(self.order_M, 0), stays_M[self.order_M]
        self.duplicate_M = np.zeros(len(poses_MJ2), bool)

    def repeats(self, later: np.ndarray, earlier: np.ndarray) -> None:
        """Mark those of ``later`` that are near one of ``earlier``, all of which stay."""
        if len(earlier):
            self.duplicate_M[self._near(self._windows(later, earlier), earlier)[0]] = True

    def among(self, poses: np.ndarray) -> None:
        """Mark those of ``poses`` that are near an earlier one of them that stays.

        Where many are alike, most pairs need no look: of the earlier half few stay, and nearly all of the later half
        repeat these.
        """
        windows = self._windows(poses, poses)
        if windows.size > PAIRS:
            order = self.order_M[poses]
            early = order < np.median(order)
            first, second = poses[early], poses[~early]
            self.among(first)
            self.repeats(second, first[self.stays_M[first] & ~self.duplicate_M[first]])
            self.among(second[~self.duplicate_M[second]])
            return
        later, earlier = self._near(windows, poses)
        by_order = np.argsort(self.order_M[later], kind="stable")
        for i, j in zip(later[by_order].tolist(), earlier[by_order].tolist(), strict=True):
            if not self.duplicate_M[j]:
                self.duplicate_M[i] = True

    def _windows(self, a_A: np.ndarray, b_B: np.ndarray) -> _Windows:
        """Windows in all cells around every a; where b are the same poses, in half of them, so every pair once."""
        same = a_A is b_B
        steps = list(itertools.product((-1, 0, 1), repeat=2))[4 if same else 0 :]
        code_B, code_CA = self.code_M[b_B], self.code_M[a_A] + 4.0 * (np.array(steps) @ [[CELLS + 2], [1]])
        low_CA = np.searchsorted(code_B, code_CA - self.window)
        high_CA = np.searchsorted(code_B, code_CA + self.window, "right")
        if same:
            low_CA[0] = np.arange(1, len(a_A) + 1)
        return _Windows(np.tile(a_A, len(steps)), low_CA.ravel(), high_CA.ravel())

    def _near(self, windows: _Windows, b_B: np.ndarray) -> np.ndarray:
        """The pairs of the windows in ``b_B`` that are nearer than the bound, the later pose first (2, N).

        Pairs whose earlier pose does not stay are left out.
        """
        found = [np.empty((2, 0), np.int64)]
        first_M, *others = *self.view_VM[3:], *self.view_VM[1:3]  # the grid has dealt with most of these two
        first_B = first_M[b_B]
        for of_W, low_W, high_W in windows.parts():
            count_W = high_W - low_W
            at = np.repeat(low_W - (count_W.cumsum() - count_W), count_W)
            at += np.arange(len(at))
            gap = np.repeat(first_M[of_W], count_W)
            gap -= first_B.take(at)
            near = np.flatnonzero(np.abs(gap, out=gap) <= self.reach)
            a, b = np.repeat(of_W, count_W)[near], b_B[at[near]]
            for view_M in others:
                near = np.flatnonzero(np.abs(view_M[a] - view_M[b]) <= self.reach)
                a, b = a[near], b[near]
            swap = self.order_M[a] < self.order_M[b]
            later, earlier = np.where(swap, b, a), np.where(swap, a, b)
            use = np.flatnonzero(self.stays_M[earlier])
            later, earlier = later[use], earlier[use]
            near = _nearer(self.poses_MJ2.take(later, 0), self.poses_MJ2.take(earlier, 0), self.bound)
            found.append(np.stack([later[near], earlier[near]]))
        return np.concatenate(found, 1)


def _nearer(a_NJ2: np.ndarray, b_NJ2: np.ndarray, bound: float) -> np.ndarray:
    """Which pairs have a mean joint distance under the bound; most are told by float32, in a third of the time."""
    gap_NJ2 = a_NJ2 - b_NJ2
    gap_NJ2 *= gap_NJ2
    rough_N = np.sqrt(gap_NJ2[..., 0] + gap_NJ2[..., 1]) @ np.full(gap_NJ2.shape[1], 1 / gap_NJ2.shape[1], np.float32)
    near = np.flatnonzero(rough_N < bound * (1 + ROUGH))
    return near[joint_distance(a_NJ2.take(near, 0), b_NJ2.take(near, 0)) < bound]


def _project(poses_MJ2: np.ndarray) -> np.ndarray:
    """Projections of every pose, float32 (M, VIEWS), along which the poses differ most: their principal components,
    joint by joint of length 1."""
    flat_MD = poses_MJ2.reshape(len(poses_MJ2), -1).astype(np.float64)
    flat_MD -= flat_MD.mean(0)
    some_ND = flat_MD[:: -(-len(flat_MD) // FITTED)]
    _, vectors_DD = np.linalg.eigh(some_ND.T @ some_ND)
    view_VJ2 = vectors_DD.T[::-1][:VIEWS].reshape(-1, *poses_MJ2.shape[1:])
    view_VJ2 = view_VJ2 / (np.maximum(np.linalg.norm(view_VJ2, axis=2, keepdims=True), 1e-12) * poses_MJ2.shape[1])
    return (flat_MD @ view_VJ2.reshape(len(view_VJ2), -1).T).astype(np.float32)
