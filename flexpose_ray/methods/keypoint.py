"""The honest simple methods: keypoints in, keypoints out, no network. A learned method has to beat these.

Every method is ``fn(source_NJ2, shots_NJ2, count, seed)`` and returns ``count`` poses, float32 in crop units. The same
seed gives the same poses.
"""

from __future__ import annotations

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose import geometry

SHRINKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # weights of the shots' covariance to choose from
FEW_SHRINK, FEW = 0.2, 4  # the weight where there are fewer shots than can be left out one by one
FLAT = 1e-9  # directions with a smaller share of the largest variance count as having none


def source_as_is(source_NJ2: np.ndarray, shots_NJ2: np.ndarray | None, count: int, seed: int) -> np.ndarray:
    """Poses of the source set, unchanged: what one has without any method."""
    return _draw(source_NJ2, "source poses", count, seed)


def shots_alone(source_NJ2: np.ndarray | None, shots_NJ2: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The shots, drawn again and again: what one has without any source set."""
    return _draw(shots_NJ2, "shots", count, seed)


def pose_mixup(source_NJ2: np.ndarray | None, shots_NJ2: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Convex combinations of two shots (paper eq. 7).

    Raises:
        DataError: fewer than two shots.
    """
    return geometry.pose_mixup(np.asarray(shots_NJ2, np.float32), count, np.random.default_rng(seed))


def mean_shift(source_NJ2: np.ndarray, shots_NJ2: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Source poses moved by the difference of the mean poses: the source's spread around the shots' mean."""
    at_least(1, shots_NJ2, "shots")
    drawn_NJ2 = source_as_is(source_NJ2, shots_NJ2, count, seed)
    return (drawn_NJ2 + (np.mean(shots_NJ2, 0) - np.mean(source_NJ2, 0))).astype(np.float32)


def coral(
    source_NJ2: np.ndarray, shots_NJ2: np.ndarray, count: int, seed: int, shrink: float | None = None
) -> np.ndarray:
    """Source poses under the affine map that gives them the shots' mean and a covariance between both sets'.

    The map is :func:`transport_map` to the covariance C = (1 - shrink) Cs + shrink Ct.

    Args:
        source_NJ2: at least two poses, crop units.
        shots_NJ2: at least two poses, crop units.
        count: poses to make.
        seed: draws the source poses that are mapped.
        shrink: weight of the shots' covariance. A dozen shots have a singular covariance that misses most of the
            target's spread, so the source must supply it: 0 is :func:`mean_shift`, 1 trusts the shots alone. None
            leaves it to :func:`choose_shrink`. On COCO -> Penn Action, MPII and LSP (12 to 26 shots, 6 draws each) FD
            is flat and lowest from 0.1 to 0.3.

    Raises:
        DataError: fewer than two source poses or shots.
    """
    at_least(2, source_NJ2, "source poses")
    at_least(2, shots_NJ2, "shots")
    drawn_NJ2 = source_as_is(source_NJ2, shots_NJ2, count, seed)
    source_ND, shots_MD = (np.asarray(x, np.float64).reshape(len(x), -1) for x in (source_NJ2, shots_NJ2))
    source_DD, shots_DD = np.cov(source_ND, rowvar=False), np.cov(shots_MD, rowvar=False)
    shrink = shrink_of(shrink, source_DD, shots_NJ2)
    map_DD = transport_map(source_DD, (1 - shrink) * source_DD + shrink * shots_DD)
    mapped_ND = (drawn_NJ2.reshape(count, -1) - source_ND.mean(0)) @ map_DD + shots_MD.mean(0)
    return mapped_ND.reshape(drawn_NJ2.shape).astype(np.float32)


def at_least(least: int, poses_NJ2: np.ndarray, what: str) -> None:
    """Refuse fewer than ``least`` poses with a DataError that calls them ``what``."""
    if len(poses_NJ2) < least:
        raise DataError(what, f"at least {least} wanted, found {len(poses_NJ2)}", "give a larger set")


def _draw(poses_NJ2: np.ndarray, what: str, count: int, seed: int) -> np.ndarray:
    """``count`` of the poses, each at most once where there are enough."""
    at_least(1, poses_NJ2, what)
    rows_N = np.random.default_rng(seed).choice(len(poses_NJ2), count, replace=count > len(poses_NJ2))
    return np.asarray(poses_NJ2, np.float32)[rows_N]


def shrink_of(wanted: float | None, source_DD: np.ndarray, shots_NJ2: np.ndarray) -> float:
    """``wanted``, or where that is None what :func:`choose_shrink` says of the shots."""
    if wanted is not None:
        return wanted
    return choose_shrink(source_DD, np.asarray(shots_NJ2, np.float64).reshape(len(shots_NJ2), -1))


def choose_shrink(source_DD: np.ndarray, shots_MD: np.ndarray) -> float:
    """How far to trust the shots' covariance: the weight under which each shot is likeliest, given the others.

    A diverse target leaves most to the source (0.2 to 0.3 for 26 shots of Penn Action), a narrow one far from it does
    not (0.6 for a dozen rowers).

    Args:
        source_DD: covariance of the source, float64.
        shots_MD: the shots, flattened; fewer than four are too few to leave one out.
    """
    if len(shots_MD) < FEW:
        return FEW_SHRINK
    ridge_DD = 1e-6 * np.eye(len(source_DD))  # the pelvis lies between the hips, always
    likelihoods = np.zeros(len(SHRINKS))
    for i, shot_D in enumerate(shots_MD):
        others_MD = np.delete(shots_MD, i, 0)
        apart_D, others_DD = shot_D - others_MD.mean(0), np.cov(others_MD, rowvar=False)
        for k, shrink in enumerate(SHRINKS):
            mixed_DD = (1 - shrink) * source_DD + shrink * others_DD + ridge_DD
            likelihoods[k] -= np.linalg.slogdet(mixed_DD)[1] + apart_D @ np.linalg.solve(mixed_DD, apart_D)
    return SHRINKS[int(likelihoods.argmax())]


def transport_map(from_DD: np.ndarray, to_DD: np.ndarray) -> np.ndarray:
    """The symmetric matrix that takes one covariance to another and moves points as little as that allows.

    Optimal transport between two Gaussians: A = F^(-1/2) (F^(1/2) T F^(1/2))^(1/2) F^(-1/2), float64.
    """
    root_DD, inverse_DD = _root(from_DD)
    middle_DD, _ = _root(root_DD @ to_DD @ root_DD)
    return inverse_DD @ middle_DD @ inverse_DD


def _root(matrix_DD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square root and inverse square root of a covariance; flat directions stay flat in both.

    A pelvis half-way between the hips has no variance of its own, so flat directions are the rule.
    """
    values_D, vectors_DD = np.linalg.eigh(matrix_DD)
    kept_D = values_D > FLAT * values_D[-1]
    root_D = np.sqrt(np.where(kept_D, values_D, 0))
    inverse_D = np.where(kept_D, 1 / np.where(kept_D, root_D, 1), 0)
    return (vectors_DD * root_D) @ vectors_DD.T, (vectors_DD * inverse_D) @ vectors_DD.T
