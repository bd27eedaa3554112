"""Poses of a shard that nearly repeat an earlier one, found without comparing every pair."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from flexpose_ray.pose.distance import joint_distance

BLOCK = 256  # poses compared at a time: bounds the memory where all poses are alike
SLACK = 1 + 1e-6  # for rounding: the projections only preselect pairs
VIEWS = 8  # projections that separate distant poses cheaply


def duplicates(
    keypoints_NJ2: np.ndarray, kept_MJ2: np.ndarray, bound: float, judged_N: np.ndarray, stays_N: np.ndarray
) -> np.ndarray:
    """Find the poses that are nearer than ``bound`` to an earlier one that stays.

    A projection of all joints, each onto a unit vector of its own, averaged over joints, differs between two poses by
    no more than their mean joint distance. So a k-d tree over a few such projections finds all pairs that may be near.

    Args:
        keypoints_NJ2: poses in order, crop units.
        kept_MJ2: poses that stay and came before all of these.
        bound: mean joint distance, crop units.
        judged_N: poses to judge; the others are never duplicates.
        stays_N: those of them that stay unless they are duplicates; no pose is a duplicate of one of the others.

    Returns:
        duplicate_N: bool.
    """
    duplicate_N = np.zeros(len(keypoints_NJ2), bool)
    rows = np.flatnonzero(judged_N)
    if bound <= 0 or not len(rows):
        return duplicate_N
    poses_NJ2 = keypoints_NJ2.astype(np.float64)
    view_VJ2 = _views(poses_NJ2[rows])
    stay_MJ2 = kept_MJ2.astype(np.float64)
    stay_MV = _project(stay_MJ2, view_VJ2)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        now_NJ2 = poses_NJ2[block]
        now_NV = _project(now_NJ2, view_VJ2)
        duplicate_N[block[_repeats(now_NV, now_NJ2, stay_MV, stay_MJ2, bound)]] = True
        pairs = cKDTree(now_NV).query_pairs(bound * SLACK, p=np.inf, output_type="ndarray")
        pairs = pairs[joint_distance(now_NJ2[pairs[:, 0]], now_NJ2[pairs[:, 1]]) < bound]
        for later, earlier in sorted((max(pair), min(pair)) for pair in pairs.tolist()):
            if stays_N[block[earlier]] and not duplicate_N[block[earlier]]:
                duplicate_N[block[later]] = True
        stay = stays_N[block] & ~duplicate_N[block]
        stay_MJ2, stay_MV = np.concatenate([stay_MJ2, now_NJ2[stay]]), np.concatenate([stay_MV, now_NV[stay]])
    return duplicate_N


def _repeats(
    now_NV: np.ndarray, now_NJ2: np.ndarray, stay_MV: np.ndarray, stay_MJ2: np.ndarray, bound: float
) -> np.ndarray:
    """Rows of ``now`` that are nearer than ``bound`` to a pose that stays."""
    if not len(stay_MV):
        return np.empty(0, np.int64)
    found = cKDTree(stay_MV).query_ball_point(now_NV, bound * SLACK, p=np.inf)
    pairs = [(i, j) for i, near in enumerate(found) for j in near]
    pairs = np.array(pairs, np.int64).reshape(-1, 2)
    return pairs[joint_distance(now_NJ2[pairs[:, 0]], stay_MJ2[pairs[:, 1]]) < bound, 0]


def _views(poses_NJ2: np.ndarray) -> np.ndarray:
    """Unit vectors for every joint, along which the poses differ most: their principal components, joint by joint."""
    flat_ND = poses_NJ2.reshape(len(poses_NJ2), -1)
    centred_ND = flat_ND - flat_ND.mean(0)
    _, vectors_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    view_VJ2 = vectors_DD.T[::-1][:VIEWS].reshape(-1, *poses_NJ2.shape[1:])
    return view_VJ2 / np.maximum(np.linalg.norm(view_VJ2, axis=2, keepdims=True), 1e-12)


def _project(poses_NJ2: np.ndarray, view_VJ2: np.ndarray) -> np.ndarray:
    """Projections of every pose, averaged over joints (N, V)."""
    return np.einsum("njx,vjx->nv", poses_NJ2, view_VJ2) / view_VJ2.shape[1]
