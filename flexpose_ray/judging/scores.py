"""The score table: all methods against the same target poses, with the same number of poses, beside the floor."""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.judging.metrics import density_coverage, frechet_distance, mmd2, nearest_to_shots
from flexpose_ray.pose.sets import PoseSet

NEIGHBOURS = 5
FLOOR, FLOOR_TITLE = "floor", "floor (target / target)"  # the row that scores the target against itself


def halves(target: PoseSet, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Split target poses into two parts with about half of the groups each (videos, clips, pictures).

    A set of one group is cut by pose.

    Raises:
        DataError: fewer poses on a side than the metrics need.
    """
    if len(np.unique(target.group_N)) < 2:
        target = PoseSet(target.keypoints_NJ2, target.skeleton_name)  # every pose its own group
    one, other = target.split(0.5, seed)
    if min(len(one), len(other)) <= NEIGHBOURS:
        problem = f"{len(target)} poses split by group into {len(one)} and {len(other)}, more than {NEIGHBOURS} wanted"
        raise DataError("target poses", problem, "hold out more target poses, from more videos or pictures")
    return one.keypoints_NJ2, other.keypoints_NJ2


def score_table(
    rows: dict[str, np.ndarray],
    target: PoseSet,
    shots_NJ2: np.ndarray | None = None,
    count: int = 5000,
    seed: int = 0,
    judged: int | None = None,
) -> list[dict]:
    """Score pose sets against the target, and one half of the target against the other: the floor.

    Every comparison has the same number of poses on both sides, because all of these metrics depend on it. ``judged``
    is for comparing sets of other sizes: FD hardly depends on the size, coverage rises with it.

    Args:
        rows: poses (N, J, 2) in crop units by name.
        target: held-out target poses.
        shots_NJ2: the annotated poses that the methods were given, for the distance to them.
        count: most poses on a side; the smallest of the sets and of the target's halves limits it for all rows.
        seed: splits the target, and draws ``count`` poses of every set.
        judged: judge this many first poses of every row instead; MMD^2 takes 5,000 of them (:func:`mmd2`).

    Returns:
        One dict a row, the floor first: ``name``, ``fd``, ``mmd2``, ``density``, ``coverage``, ``count`` (poses of
        the target, and without ``judged`` of the row), and with shots ``shot_distance`` (mean joint distance to the
        nearest shot, crop units) and ``copies`` (share of poses nearer than 0.02 to a shot).

    Raises:
        DataError: sets that are too small, or of another skeleton than the target.
    """
    one_NJ2, other_NJ2 = halves(target, seed)
    pairs = {FLOOR: (one_NJ2, other_NJ2)} | {name: (target.keypoints_NJ2, np.asarray(x)) for name, x in rows.items()}
    for name, (_, poses_NJ2) in pairs.items():
        if poses_NJ2.shape[1:] != one_NJ2.shape[1:] or len(poses_NJ2) <= NEIGHBOURS:
            want = f"expected more than {NEIGHBOURS} poses of {one_NJ2.shape[1]} joints"
            raise DataError(name, f"{want}, found {poses_NJ2.shape}", "compare sets of one skeleton")
    count = min(count, *(len(side) for pair in pairs.values() for side in pair))
    table = []
    for name, pair in pairs.items():
        rng = np.random.default_rng(seed)  # the target is drawn first: the same poses judge every row
        target_NJ2, judged_NJ2 = (side[rng.choice(len(side), count, replace=False)] for side in pair)
        if judged is not None and name != FLOOR:
            judged_NJ2 = pair[1][:judged]
        density, coverage = density_coverage(judged_NJ2, target_NJ2, NEIGHBOURS)
        row = {
            "name": name,
            "fd": frechet_distance(judged_NJ2, target_NJ2),
            "mmd2": mmd2(judged_NJ2, target_NJ2, seed),
            "density": density,
            "coverage": coverage,
            "count": count,
        }
        if shots_NJ2 is not None:
            near = nearest_to_shots(judged_NJ2, shots_NJ2)
            row |= {"shot_distance": near["mean"], "copies": near["copies"]}
        table.append(row)
    return table
