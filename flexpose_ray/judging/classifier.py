"""Two-sample test by a classifier (Lopez-Paz and Oquab, 2017): can it tell generated poses from real ones?"""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.judging.metrics import clouds

FOLDS = 3
GRAIN = 1e-3  # crop units; finer than any annotation. Rounding, of boxes' edges say, would give a set away
PAIRS = 300  # of joints whose distance is a feature, at most; BODY_15 has 105
TREES = dict(max_iter=60, learning_rate=0.12, max_leaf_nodes=12, min_samples_leaf=10, max_bins=63)


def classifier_auc(
    a_NJ2: np.ndarray, b_NJ2: np.ndarray, seed: int = 0, groups_b: np.ndarray | None = None, most: int = 2000
) -> float:
    """Area under the ROC curve of boosted trees that tell ``a`` from ``b``, on poses that they were not trained on.

    0.5: they cannot be told apart; 1: every pose can. Trees see coordinates and the distances between joints. The
    mean of three folds. Sets of few poses come out nearer to 0.5, so compare equal counts only; sets that share poses
    come out below it.

    Args:
        a_NJ2: judged poses, crop units.
        b_NJ2: real poses, crop units.
        seed: draws poses and folds; the same seed gives the same figure.
        groups_b: the real poses' groups (videos, pictures), one for each; a group stays within a fold. Where None,
            every pose is a group.
        most: poses of each set; there may be more.

    Raises:
        DataError: fewer than three poses on a side or three groups, different joint counts, NaN, or groups that do not
            match the poses.
    """
    clouds(a_NJ2, b_NJ2, least=FOLDS)
    groups_b = np.arange(len(b_NJ2)) if groups_b is None else np.asarray(groups_b)
    if groups_b.shape != (len(b_NJ2),):
        raise DataError("groups of the real poses", f"{groups_b.shape} for {len(b_NJ2)} poses", "give one for each")
    rng = np.random.default_rng(seed)
    rows_a, rows_b = (rng.permutation(len(x))[:most] for x in (a_NJ2, b_NJ2))
    fold_a, fold_b = _folds(np.arange(len(rows_a)), rng), _folds(groups_b[rows_b], rng)
    pairs = _pairs(a_NJ2.shape[1], rng)
    x_NF = np.concatenate([_features(x[rows], pairs) for x, rows in ((a_NJ2, rows_a), (b_NJ2, rows_b))])
    y_N, fold_N = np.repeat([0, 1], [len(rows_a), len(rows_b)]), np.concatenate([fold_a, fold_b])
    return float(np.mean([_auc(x_NF, y_N, fold_N == fold) for fold in range(FOLDS)]))


def _folds(groups_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold for every pose, the same for all of a group: shuffled groups, cut into parts of about as many poses.

    Raises:
        DataError: a part would be empty.
    """
    _, group_N, size_G = np.unique(groups_N, return_inverse=True, return_counts=True)
    order_G = rng.permutation(len(size_G))
    middle_G = np.cumsum(size_G[order_G]) - size_G[order_G] / 2
    fold_G = np.empty(len(size_G), int)
    fold_G[order_G] = middle_G * FOLDS // len(groups_N)
    if len(np.unique(fold_G)) < FOLDS:
        hint = "give poses of more videos or pictures"
        raise DataError("groups of the real poses", f"{len(size_G)} cannot be cut into {FOLDS} parts alike", hint)
    return fold_G[group_N]


def _pairs(joints: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.triu_indices(joints, 1)
    chosen = np.sort(rng.permutation(len(first))[:PAIRS])
    return first[chosen], second[chosen]


def _features(poses_NJ2: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Coordinates and distances between joints, to the grain: float32 (N, F)."""
    poses_NJ2 = np.round(poses_NJ2 / GRAIN) * GRAIN
    apart_NP2 = poses_NJ2[:, pairs[0]] - poses_NJ2[:, pairs[1]]
    distance_NP = np.sqrt((apart_NP2**2).sum(2))
    return np.concatenate([poses_NJ2.reshape(len(poses_NJ2), -1), distance_NP], 1).astype(np.float32)


def _auc(x_NF: np.ndarray, y_N: np.ndarray, out_N: np.ndarray) -> float:
    """Train without the poses of one fold, and judge by these."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # here, since it takes a second to load
    from sklearn.metrics import roc_auc_score

    trees = HistGradientBoostingClassifier(**TREES, early_stopping=False, random_state=0)
    trees.fit(x_NF[~out_N], y_N[~out_N])
    return float(roc_auc_score(y_N[out_N], trees.decision_function(x_NF[out_N])))
