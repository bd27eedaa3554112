"""Estimate the target's mean and covariance from a few shots and the source, and map poses to them."""

from __future__ import annotations

import numpy as np

from flexpose_ray.pose.moments import Moments, moments

SHRINKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # weights of the shots' covariance to choose from
FEW_SHRINK, FEW = 0.2, 4  # the weight for fewer than FEW shots, which are too few to leave one out
RIDGE = 1e-6  # variance added in every direction, crop units squared: a pelvis always lies between the hips
FLAT = 1e-9  # directions with a smaller share of the largest variance count as flat
LEAST = 1e-12  # variance of a coordinate, crop units squared


def shrink_of(wanted: float | None, source_DD: np.ndarray, shots_NJ2: np.ndarray) -> float:
    """``wanted``, or the result of :func:`choose_shrink` where that is None."""
    if wanted is not None:
        return wanted
    return choose_shrink(source_DD, np.asarray(shots_NJ2, np.float64).reshape(len(shots_NJ2), -1))


def choose_shrink(source_DD: np.ndarray, shots_MD: np.ndarray) -> float:
    """How far to trust the shots' covariance: the weight under which each shot is likeliest, given the others.

    A diverse target leaves most to the source (0.2 to 0.3 for 26 shots of Penn Action), a narrow one far from it does
    not (0.6 for a dozen rowers).

    Args:
        source_DD: covariance of the source, float64.
        shots_MD: the shots, flattened; for fewer than four the result is 0.2.
    """
    if len(shots_MD) < FEW:
        return FEW_SHRINK
    ridge_DD = RIDGE * np.eye(len(source_DD))
    likelihoods = np.zeros(len(SHRINKS))
    for i, shot_D in enumerate(shots_MD):
        mean_D, others_DD = moments(np.delete(shots_MD, i, 0))
        apart_D = shot_D - mean_D
        for k, shrink in enumerate(SHRINKS):
            mixed_DD = (1 - shrink) * source_DD + shrink * others_DD + ridge_DD
            likelihoods[k] -= np.linalg.slogdet(mixed_DD)[1] + apart_D @ np.linalg.solve(mixed_DD, apart_D)
    return SHRINKS[int(likelihoods.argmax())]


def shrunk_moments(source: Moments, shots: Moments, count: int, shrink: float) -> Moments:
    """The target's moments, with the mean drawn to the source's and a weighted sum of both covariances.

    The mean is the shots', drawn to the source's by the share of their distance that chance explains (James and
    Stein, 1961): tr(C) / (count |m - m_s|^2), at most 1. A dozen shots miss most of a target's spread, so the
    covariance is ``shrink`` times the shots' and the rest the source's.

    Args:
        source, shots: moments of both.
        count: number of shots.
        shrink: weight of the shots' covariance, 0 to 1.
    """
    apart = max(float(np.square(shots[0] - source[0]).sum()), 1e-12)
    chance = min(float(np.trace(shots[1])) / (count * apart), 1.0)
    mean_D = (1 - chance) * shots[0] + chance * source[0]
    return mean_D, (1 - shrink) * source[1] + shrink * shots[1]


def between_moments(source: Moments, shots: Moments, shrink: float) -> Moments:
    """The target's moments, with the mean of the shots and a covariance on the shortest way between both.

    A dozen shots miss most of a target's spread. The covariance lies on the way that moves poses least (the geodesic of
    Bures and Wasserstein), because a weighted sum would widen directions that hardly vary. The more the shots are
    trusted, the farther it goes, and the closer the source's variances are scaled to the shots' beforehand.

    Args:
        source, shots: moments of both.
        shrink: how far the shots' spread is trusted, 0 to 1; at 1 the covariance is theirs.
    """
    share = shrink**2 * (3 - 2 * shrink)  # smaller than shrink below one half, larger above
    shots_D, source_D = (
        np.sqrt(np.maximum(covariance_DD.diagonal(), LEAST)) for covariance_DD in (shots[1], source[1])
    )
    scale_D = share * shots_D / source_D + (1 - share)
    scaled_DD = scale_D[:, None] * source[1] * scale_D
    way_DD = part_of(transport_map(scaled_DD, shots[1]), share)
    return shots[0], way_DD @ scaled_DD @ way_DD


def part_of(map_DD: np.ndarray, share: float) -> np.ndarray:
    """The linear map that goes ``share`` of the way of ``map_DD``."""
    return share * map_DD + (1 - share) * np.eye(len(map_DD))


def transport_map(from_DD: np.ndarray, to_DD: np.ndarray) -> np.ndarray:
    """The symmetric matrix that takes one covariance to another and moves points as little as possible.

    Optimal transport between two Gaussians: A = F^(-1/2) (F^(1/2) T F^(1/2))^(1/2) F^(-1/2), float64.
    """
    root_DD, inverse_DD = _root(from_DD)
    middle_DD, _ = _root(root_DD @ to_DD @ root_DD)
    return inverse_DD @ middle_DD @ inverse_DD


def _root(matrix_DD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square root and inverse square root of a covariance; flat directions stay flat in both.

    Flat directions are the rule: a pelvis half-way between the hips has no variance of its own.
    """
    values_D, vectors_DD = np.linalg.eigh(matrix_DD)
    kept_D = values_D > FLAT * values_D[-1]
    root_D = np.sqrt(np.where(kept_D, values_D, 0))
    inverse_D = np.where(kept_D, 1 / np.where(kept_D, root_D, 1), 0)
    return (vectors_DD * root_D) @ vectors_DD.T, (vectors_DD * inverse_D) @ vectors_DD.T
