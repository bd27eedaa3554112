"""Distances between single poses."""

from __future__ import annotations

import numpy as np


def joint_distance(a_NJ2: np.ndarray, b_NJ2: np.ndarray) -> np.ndarray:
    """Mean distance between the same joints of paired poses, float64 (N,); either side may be a single pose."""
    gap_NJ2 = np.subtract(a_NJ2, b_NJ2, dtype=np.float64)
    return np.hypot(gap_NJ2[..., 0], gap_NJ2[..., 1]).mean(-1)


def nearest_distance(a_NJ2: np.ndarray, shots_NJ2: np.ndarray) -> np.ndarray:
    """Mean joint distance of every pose to the nearest shot, float64 (N,)."""
    nearest_N = np.full(len(a_NJ2), np.inf)
    for shot_J2 in shots_NJ2:  # shots are a dozen, poses are many
        np.minimum(nearest_N, joint_distance(a_NJ2, shot_J2), out=nearest_N)
    return nearest_N
