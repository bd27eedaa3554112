"""Distances between pose sets: how close they are, how varied, how much is copied. Crop units in, plain floats out.

A set is a cloud of points with 2J coordinates (30 for BODY_15); ``a`` is what is judged, ``b`` the target.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.spatial.distance import cdist, pdist

from flexpose_ray.errors import DataError
from flexpose_ray.pose.distance import joint_distance, nearest_distance
from flexpose_ray.pose.moments import Moments, moments

MMD_MAX = 5000  # poses a side in MMD^2: all pairs are held once, 100 MB
COPY_BOUND = 0.02  # mean joint distance in crop units under which a pose counts as a copy of a shot
CHUNK = 256  # rows of ``a`` compared with all of ``b`` at a time: small enough for the allocator to reuse the block


def frechet_distance(a_NJ2: np.ndarray, b_NJ2: np.ndarray) -> float:
    """FD = |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), the squared Wasserstein-2 distance of two fitted Gaussians.

    The root's trace is taken from the symmetric matrix C1^(1/2) C2 C1^(1/2), which has the eigenvalues of C1 C2 and
    stays real when a covariance is singular. Everything is float64.

    Args:
        a_NJ2: judged poses, crop units, at least two.
        b_NJ2: target poses, crop units, at least two; the result is symmetric in both.

    Raises:
        DataError: fewer than two poses, different joint counts, NaN.
    """
    a_ND, b_ND = clouds(a_NJ2, b_NJ2)
    return moments_distance(moments(a_ND), moments(b_ND))


def moments_distance(a: Moments, b: Moments) -> float:
    """:func:`frechet_distance` of two sets of which means and covariances are known."""
    (mean_a_D, cov_a_DD), (mean_b_D, cov_b_DD) = a, b
    values_D, vectors_DD = np.linalg.eigh(cov_a_DD)
    root_DD = (vectors_DD * np.sqrt(values_D.clip(0))) @ vectors_DD.T
    cross_D = np.linalg.eigvalsh(root_DD @ cov_b_DD @ root_DD)
    shift = ((mean_a_D - mean_b_D) ** 2).sum()
    spread = np.trace(cov_a_DD) + np.trace(cov_b_DD) - 2 * np.sqrt(cross_D.clip(0)).sum()
    return max(0.0, float(shift + spread))  # rounding may leave -1e-16


def mmd2(a_NJ2: np.ndarray, b_NJ2: np.ndarray, seed: int = 0) -> float:
    """Unbiased MMD^2 under exp(-d^2 / s), s being the median squared distance between target poses.

    For two samples of one distribution it is near 0 and may be negative. It does not distinguish new poses from shots
    that are drawn again and again: read it beside :func:`density_coverage` and :func:`nearest_to_shots`.

    Args:
        a_NJ2: judged poses, crop units, at least two.
        b_NJ2: target poses, crop units, at least two, not all equal; they set the kernel's width.
        seed: of the draw of 5,000 poses from each side that has more.

    Raises:
        DataError: fewer than two poses, different joint counts, NaN, or a target without any spread.
    """
    rng = np.random.default_rng(seed)
    a_ND, b_ND = (
        x_ND if len(x_ND) <= MMD_MAX else x_ND[rng.choice(len(x_ND), MMD_MAX, replace=False)]
        for x_ND in clouds(a_NJ2, b_NJ2)
    )
    within_b = pdist(b_ND, "sqeuclidean")
    width = float(np.median(within_b))
    if width == 0:
        raise DataError("target poses", "most of them are one and the same pose", "give a target set with some variety")
    within = np.exp(-pdist(a_ND, "sqeuclidean") / width).mean() + np.exp(-within_b / width).mean()
    between = sum(np.exp(-(d_NM**2) / width).sum() for d_NM in _distances(a_ND, b_ND)) / (len(a_ND) * len(b_ND))
    return float(within - 2 * between)


def density_coverage(a_NJ2: np.ndarray, b_NJ2: np.ndarray, k: int = 5) -> tuple[float, float]:
    """Density and coverage of the judged poses in the target (Naeem et al. 2020).

    Every target pose has a ball that reaches to its k-th nearest neighbour among the target poses. Density is
    the mean number of balls that a judged pose lies in, over k: about 1 for the target's own distribution, more in its
    dense middle. Coverage is the share of balls with a judged pose in them; it rises with the number of judged poses,
    so compare equal counts only.

    Args:
        a_NJ2: judged poses, crop units.
        b_NJ2: target poses, crop units, more than ``k``.
        k: neighbours that set a ball's radius.

    Raises:
        DataError: no more than ``k`` target poses, fewer than two poses, different joint counts, NaN.
    """
    a_ND, b_ND = clouds(a_NJ2, b_NJ2)
    if len(b_ND) <= k:
        raise DataError("target poses", f"coverage with k = {k} needs more than {k} poses, found {len(b_ND)}")
    radius_M = np.concatenate([np.partition(d_NM, k, axis=1)[:, k] for d_NM in _distances(b_ND, b_ND)])
    inside, covered_M = 0, np.zeros(len(b_ND), bool)
    for d_NM in _distances(a_ND, b_ND):
        in_ball_NM = d_NM <= radius_M
        inside += int(in_ball_NM.sum())
        covered_M |= in_ball_NM.any(0)
    return inside / (k * len(a_ND)), float(covered_M.mean())


def nearest_to_shots(a_NJ2: np.ndarray, shots_NJ2: np.ndarray, bound: float = COPY_BOUND) -> dict[str, float]:
    """Measure how far the judged poses are from the nearest shot: near 0 means that they are copies.

    Args:
        a_NJ2: judged poses, crop units.
        shots_NJ2: the annotated poses that the method was given, at least one.
        bound: mean joint distance under which a pose counts as a copy, crop units.

    Returns:
        ``mean`` and ``median`` of the mean joint distance to the nearest shot, crop units, and ``copies``, the share
        of poses nearer than ``bound``.

    Raises:
        DataError: no poses or no shots, different joint counts, NaN.
    """
    a_ND, shots_MD = clouds(a_NJ2, shots_NJ2, least=1)
    nearest_N = nearest_distance(a_ND.reshape(len(a_ND), -1, 2), shots_MD.reshape(len(shots_MD), -1, 2))
    return {
        "mean": float(nearest_N.mean()),
        "median": float(np.median(nearest_N)),
        "copies": float((nearest_N < bound).mean()),
    }


def mean_joint_error(a_NJ2: np.ndarray, b_NJ2: np.ndarray) -> float:
    """Mean distance between the same joint of paired poses, in the unit of the keypoints.

    Raises:
        DataError: different shapes, no poses, NaN.
    """
    if np.shape(a_NJ2) != np.shape(b_NJ2):
        raise DataError("paired poses", f"shapes differ: {np.shape(a_NJ2)} and {np.shape(b_NJ2)}")
    a_ND, b_ND = clouds(a_NJ2, b_NJ2, least=1)
    return float(joint_distance(a_ND.reshape(len(a_ND), -1, 2), b_ND.reshape(len(b_ND), -1, 2)).mean())


def clouds(a_NJ2: np.ndarray, b_NJ2: np.ndarray, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as float64 (N, 2J), checked."""
    clouds = []
    for name, poses_NJ2 in (("judged poses", a_NJ2), ("reference poses", b_NJ2)):
        poses_NJ2 = np.asarray(poses_NJ2, np.float64)
        if poses_NJ2.ndim != 3 or poses_NJ2.shape[2] != 2:
            raise DataError(name, f"expected (N, J, 2) keypoints, found {poses_NJ2.shape}")
        if len(poses_NJ2) < least:
            raise DataError(name, f"at least {least} needed, found {len(poses_NJ2)}", "give a larger set")
        if not np.isfinite(poses_NJ2).all():
            raise DataError(name, "keypoints hold NaN or infinity", "drop or complete such poses")
        clouds.append(poses_NJ2.reshape(len(poses_NJ2), -1))
    a_ND, b_ND = clouds
    if a_ND.shape[1] != b_ND.shape[1]:
        raise DataError("pose sets", f"joint counts differ: {a_ND.shape[1] // 2} and {b_ND.shape[1] // 2}")
    return a_ND, b_ND


def _distances(a_ND: np.ndarray, b_MD: np.ndarray) -> Iterator[np.ndarray]:
    """Euclidean distances of all pairs, CHUNK rows of ``a`` at a time."""
    for start in range(0, len(a_ND), CHUNK):
        yield cdist(a_ND[start : start + CHUNK], b_MD)
