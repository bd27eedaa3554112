"""The guidance set: a few shots, perhaps their mirror images, extended by pose-mixup. The same for every method."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import flip, pose_mixup, with_mirrored
from flexpose_ray.pose.skeleton import Skeleton

ALIKE = 1.8  # mirror images count as shots up to this many times the shots' own distance to each other


def need_two(shots_NJ2: np.ndarray) -> None:
    """Refuse fewer than two shots.

    Raises:
        DataError: there are fewer.
    """
    if len(shots_NJ2) < 2:
        raise DataError("shots", f"adaptation needs at least two poses, found {len(shots_NJ2)}", "annotate more poses")


def both_sides(shots_SJ2: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether the mirror image of a shot looks like the other shots.

    It does not for rowers who all face right, or for people who wave their right hand. Over many draws of shots the
    compared ratio, which ``ALIKE`` bounds, was 0.8 to 1.4 for sets of several actions and 2.3 to 7 for one-sided ones.

    Args:
        shots_SJ2: poses, crop units; for a single one the answer is False.
        skeleton: of the shots.
    """
    if len(shots_SJ2) < 2:
        return False
    shots_SD = shots_SJ2.reshape(len(shots_SJ2), -1)
    mirrored_SD = flip(shots_SJ2, skeleton).reshape(len(shots_SJ2), -1)
    others_SS = np.where(np.eye(len(shots_SD), dtype=bool), np.inf, 0.0)
    apart, mirrored = (float((cdist(x, shots_SD) + others_SS).min(1).mean()) for x in (shots_SD, mirrored_SD))
    return mirrored < ALIKE * apart


def with_sides(shots_SJ2: np.ndarray, skeleton: Skeleton, mirror: bool) -> np.ndarray:
    """The shots, followed by their mirror images where ``mirror`` is true."""
    return with_mirrored(shots_SJ2, skeleton) if mirror else shots_SJ2


def mixed(shots_SJ2: np.ndarray, count: int, rng: np.random.Generator, skeleton: Skeleton, mirror: bool) -> np.ndarray:
    """``count`` poses by pose-mixup (paper eq. 7), float32; where ``mirror`` is true every second one is mirrored.

    Poses are mixed before they are mirrored: between a shot and another's mirror image there may be no real pose.

    Raises:
        DataError: fewer than two shots.
    """
    mixed_NJ2 = pose_mixup(np.asarray(shots_SJ2, np.float32), count, rng)
    if mirror:
        mixed_NJ2[1::2] = flip(mixed_NJ2[1::2], skeleton)
    return mixed_NJ2


def guidance(
    shots_SJ2: np.ndarray, mixup: int, rng: np.random.Generator, skeleton: Skeleton, mirror: bool
) -> np.ndarray:
    """The shots extended to ``mixup`` poses by :func:`mixed`; :func:`with_sides` where ``mixup`` is 0."""
    if mixup:
        return mixed(shots_SJ2, mixup, rng, skeleton, mirror)
    return with_sides(np.asarray(shots_SJ2, np.float32), skeleton, mirror)
