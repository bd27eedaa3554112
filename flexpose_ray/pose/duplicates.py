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

VIEWS = 12  # projections that separate distant poses cheaply; the first is sorted by, the next two make the grid
FITTED = 4096  # poses that the projections are fitted to
CELLS = 4096  # of the grid along a side, at most
PAIRS = 2**20  # pairs of neighbours from which on the earlier half of the poses is done first
AT_ONCE = 2**16  # pairs compared at a time; they stay in a core's cache
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
    poses_MJ2 = np.concatenate([kept_MJ2, keypoints_NJ2[rows]])
    search = _Search(poses_MJ2, bound, np.concatenate([np.ones(len(kept_MJ2), bool), stays_N[rows]]))
    new_M = search.order_M >= len(kept_MJ2)
    new = np.flatnonzero(new_M)
    search.repeats(new, np.flatnonzero(~new_M))
    search.among(new[~search.duplicate_M[new]])
    duplicate_N[rows[search.order_M[new] - len(kept_MJ2)]] = search.duplicate_M[new]
    return duplicate_N


class _Windows(NamedTuple):
    """For poses a and every neighbouring cell, which of the poses b there are near by the first projection."""

    a_A: np.ndarray
    b_B: np.ndarray
    low_CA: np.ndarray  # places in b_B
    high_CA: np.ndarray

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Both poses of every pair, so many at a time."""
        for low_A, high_A in zip(self.low_CA, self.high_CA, strict=True):
            count_A = high_A - low_A
            end_A = count_A.cumsum()
            cuts = np.searchsorted(end_A, np.arange(AT_ONCE, end_A[-1], AT_ONCE)) if len(end_A) else []
            for at in np.split(np.arange(len(count_A)), cuts):
                count = count_A[at]
                first = np.repeat(low_A[at] - (count.cumsum() - count), count)
                yield np.repeat(self.a_A[at], count), self.b_B[first + np.arange(len(first))]


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
        self.poses_MJ2, self.stays_M = poses_MJ2[self.order_M], stays_M[self.order_M]
        self.duplicate_M = np.zeros(len(poses_MJ2), bool)

    def repeats(self, later: np.ndarray, earlier: np.ndarray) -> None:
        """Mark those of ``later`` that are near one of ``earlier``, all of which stay."""
        for i, _ in self._near(self._windows(later, earlier)):
            self.duplicate_M[i] = True

    def among(self, poses: np.ndarray) -> None:
        """Mark those of ``poses`` that are near an earlier one of them that stays.

        Where many are alike, most pairs need no look: of the earlier half few stay, and nearly all of the later half
        repeat these.
        """
        windows = self._windows(poses, poses)
        if (windows.high_CA - windows.low_CA).sum() > PAIRS:
            order = self.order_M[poses]
            early = order < np.median(order)
            first, second = poses[early], poses[~early]
            self.among(first)
            self.repeats(second, first[self.stays_M[first] & ~self.duplicate_M[first]])
            self.among(second[~self.duplicate_M[second]])
            return
        pairs = [np.empty((2, 0), np.int64), *map(np.stack, self._near(windows))]
        one, other = np.concatenate(pairs, 1)
        swap = self.order_M[one] < self.order_M[other]
        later, earlier = np.where(swap, other, one), np.where(swap, one, other)
        use = self.stays_M[earlier]
        later, earlier = later[use], earlier[use]
        by_order = np.argsort(self.order_M[later], kind="stable")
        for i, j in zip(later[by_order].tolist(), earlier[by_order].tolist(), strict=True):
            if not self.duplicate_M[j]:
                self.duplicate_M[i] = True

    def _windows(self, a_A: np.ndarray, b_B: np.ndarray) -> _Windows:
        """Windows of all neighbouring cells; where a and b are the same poses, of half of them: every pair once."""
        same = a_A is b_B
        steps = list(itertools.product((-1, 0, 1), repeat=2))[4 if same else 0 :]
        code_B, code_CA = self.code_M[b_B], self.code_M[a_A] + 4.0 * (np.array(steps) @ [[CELLS + 2], [1]])
        low_CA = np.searchsorted(code_B, code_CA - self.window)
        high_CA = np.searchsorted(code_B, code_CA + self.window, "right")
        if same:
            low_CA[0] = np.arange(1, len(a_A) + 1)
        return _Windows(a_A, b_B, low_CA, high_CA)

    def _near(self, windows: _Windows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The pairs of the windows that are nearer than the bound."""
        for a, b in windows.pairs():
            for view_M in (*self.view_VM[3:], *self.view_VM[1:3]):  # the grid has dealt with most of these two
                near = np.abs(view_M[a] - view_M[b]) <= self.reach
                a, b = a[near], b[near]
            near = joint_distance(self.poses_MJ2[a], self.poses_MJ2[b]) < self.bound
            yield a[near], b[near]


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
