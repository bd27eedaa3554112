"""Several sets of source poses as one. Their groups' names keep them apart; they are drawn and judged by weight."""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.read import read_source

MARK = "|"  # between the number of a pose's set and its group's own name


def read_mixture(sources: list[tuple[str, str | None]]) -> PoseSet:
    """Read sets of annotations into one pose set; of several, groups are prefixed with their set's number, from 0.

    Args:
        sources: (``KIND:PATH``, mapping or None) of every set.

    Raises:
        ConfigError: sets of different skeletons, or as :func:`read_source`.
        DataError: poses that cannot be used.
    """
    sets = [read_source(poses, mapping)[0] for poses, mapping in sources]
    if len(sets) == 1:
        return sets[0]
    first = sets[0].skeleton_name
    for (name, _), poses in zip(sources, sets, strict=True):
        if poses.skeleton_name != first:
            problem = f"its poses are {poses.skeleton.name}, those of {sources[0][0]} {sets[0].skeleton.name}"
            raise ConfigError(name, problem, "mix poses of one skeleton")
    return PoseSet(
        np.concatenate([poses.keypoints_NJ2 for poses in sets]),
        first,
        np.concatenate([poses.crop_N3 for poses in sets]),
        np.concatenate([np.char.add(f"{k}{MARK}", poses.group_N) for k, poses in enumerate(sets)]),
        np.concatenate([poses.label_N for poses in sets]),
    )


def set_numbers(poses: PoseSet) -> np.ndarray:
    """Number of the set that every pose of a mixture comes from, int (N,)."""
    return np.array([int(group.partition(MARK)[0]) for group in poses.group_N.tolist()])


def split_mixture(poses: PoseSet, held_out: float, seed: int, sets: int) -> tuple[PoseSet, PoseSet]:
    """Split each of ``sets`` sets by itself, by group, into (kept, held out), as :meth:`PoseSet.split` does."""
    if sets == 1:
        return poses.split(held_out, seed)
    set_N = set_numbers(poses)
    out_N = np.zeros(len(poses), bool)
    for k in range(sets):
        _, held = poses.take(set_N == k).split(held_out, seed)
        out_N |= np.isin(poses.group_N, held.group_N)
    return poses.take(~out_N), poses.take(out_N)


def pose_weights(poses: PoseSet, weights_K: list[float]) -> np.ndarray | None:
    """How often to draw each pose so that sets are drawn in proportion to their weights; None for a single set."""
    if len(weights_K) == 1:
        return None
    set_N = set_numbers(poses)
    counts_K = np.bincount(set_N, minlength=len(weights_K))
    return np.array(weights_K)[set_N] / counts_K[set_N]


def mixed(poses: PoseSet, weights_K: list[float], seed: int) -> PoseSet:
    """Resample the poses in the proportions of the weights; poses of a set that has too few are repeated evenly.

    The number of poses stays the same, up to rounding, so that figures on sets of different weights can be compared. A
    single set is returned as it is.
    """
    if len(weights_K) == 1:
        return poses
    rng, set_N = np.random.default_rng(seed), set_numbers(poses)
    rows = []
    for k, weight in enumerate(weights_K):
        mine = rng.permutation(np.flatnonzero(set_N == k))
        rows.append(np.resize(mine, round(len(poses) * weight / sum(weights_K))))
    return poses.take(np.concatenate(rows))
