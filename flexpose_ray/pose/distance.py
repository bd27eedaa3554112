"""Distances between single poses."""

from __future__ import annotations

import numpy as np

FLOATS = 200_000  # distances of single joints held at a time, so that they stay in a core's cache
ROUNDING = 1e-6  # bound on the error of a squared distance in float32, a share of the squared coordinates


def joint_distance(a_NJ2: np.ndarray, b_NJ2: np.ndarray) -> np.ndarray:
    """Mean distance between the same joints of paired poses, float64 (N,); either side may be a single pose."""
    gap_NJ2 = np.subtract(a_NJ2, b_NJ2, dtype=np.float64)
    gap_NJ2 *= gap_NJ2
    return np.sqrt(gap_NJ2[..., 0] + gap_NJ2[..., 1]).mean(-1)


def nearest_distance(a_NJ2: np.ndarray, shots_NJ2: np.ndarray) -> np.ndarray:
    """Mean joint distance of every pose to the nearest shot, float64 (N,); infinite where there are no shots.

    Matrix products in float32 find the shots that may be the nearest, nearly always one.
    """
    nearest_N = np.full(len(a_NJ2), np.inf)
    if not len(shots_NJ2):
        return nearest_N
    size = max(1, FLOATS // (len(shots_NJ2) * shots_NJ2.shape[1]))
    for start in range(0, len(a_NJ2), size):
        part_NJ2, out_N = a_NJ2[start : start + size], nearest_N[start : start + size]
        first_N, more = _candidates(part_NJ2, shots_NJ2)
        out_N[:] = joint_distance(part_NJ2, shots_NJ2.take(first_N, 0))
        np.minimum.at(out_N, more[1], joint_distance(part_NJ2[more[1]], shots_NJ2[more[0]]))
    return nearest_N


def _candidates(a_NJ2: np.ndarray, shots_SJ2: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """For every pose a shot that may be the nearest (N,), and all other pairs (shot, pose) that may be."""
    middle_2 = shots_SJ2.mean((0, 1))
    a_J2N = (a_NJ2 - middle_2).transpose(1, 2, 0).astype(np.float32)
    shots_JS2 = (shots_SJ2 - middle_2).transpose(1, 0, 2).astype(np.float32)
    # |a - s|^2 = -2 s a + 1 |a|^2 + |s|^2 1, and a little more, so that no square root is of less than nothing.
    a_J4N, shots_JS4 = np.ones((len(a_J2N), 4, len(a_NJ2)), np.float32), np.ones((*shots_JS2.shape[:2], 4), np.float32)
    a_J4N[:, :2] = a_J2N
    np.einsum("jxn,jxn->jn", a_J2N, a_J2N, out=a_J4N[:, 2])
    shots_JS4[:, :, :2] = -2 * shots_JS2
    np.einsum("jsx,jsx->js", shots_JS2, shots_JS2, out=shots_JS4[:, :, 3])
    error_N = ROUNDING * (a_J4N[:, 2].max(0) + shots_JS4[:, :, 3].max())
    a_J4N[:, 2] += error_N
    gap_JSN = shots_JS4 @ a_J4N
    gap_SN = np.sqrt(gap_JSN, out=gap_JSN).sum(0) / len(a_J2N)
    first_N = gap_SN.argmin(0)
    near_SN = gap_SN <= gap_SN[first_N, np.arange(len(first_N))] + np.sqrt(2 * error_N)
    near_SN[first_N, np.arange(len(first_N))] = False
    return first_N, near_SN.nonzero()
