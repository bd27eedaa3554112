"""Poses as points: crop to the canvas and back, flip, pose-mixup."""

from __future__ import annotations

import numpy as np

from flexpose_ray.core.errors import DataError
from flexpose_ray.core.skeleton import Skeleton

CROP_FILL = 0.8  # the longer side of a pose's bounding box, as a share of the canvas


def crop(pixels_NJ2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre every pose's bounding box on the canvas, its longer side at 0.8 of it, aspect kept.

    Args:
        pixels_NJ2: keypoints in pixels, finite.

    Returns:
        keypoints_NJ2: float32 in crop units.
        crop_N3: float32 rows (scale, offset_x, offset_y) with ``pixels = keypoints * scale + offset``.

    Raises:
        DataError: a pose has all its joints in one point, so that it has no size.
    """
    pixels_NJ2 = np.asarray(pixels_NJ2, np.float64)
    low_N2, high_N2 = pixels_NJ2.min(1), pixels_NJ2.max(1)
    scale_N = (high_N2 - low_N2).max(1) / CROP_FILL
    if (scale_N <= 0).any():
        raise DataError(f"pose {int(np.argmin(scale_N))}", "all joints are in one point", "drop poses without extent first")
    offset_N2 = (low_N2 + high_N2) / 2 - 0.5 * scale_N[:, None]
    keypoints_NJ2 = (pixels_NJ2 - offset_N2[:, None]) / scale_N[:, None, None]
    crop_N3 = np.concatenate([scale_N[:, None], offset_N2], 1)
    return keypoints_NJ2.astype(np.float32), crop_N3.astype(np.float32)


def uncrop(keypoints_NJ2: np.ndarray, crop_N3: np.ndarray) -> np.ndarray:
    """Undo :func:`crop`: crop units back to pixels, float32."""
    scale_N11, offset_N12 = crop_N3[:, :1, None], crop_N3[:, None, 1:]
    return (keypoints_NJ2 * scale_N11 + offset_N12).astype(np.float32)


def flip(keypoints_NJ2: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Mirror poses left to right on the canvas; joints keep their meaning (a left wrist stays a left wrist)."""
    flipped_NJ2 = np.asarray(keypoints_NJ2)[:, list(skeleton.flip)].copy()
    flipped_NJ2[..., 0] = 1.0 - flipped_NJ2[..., 0]
    return flipped_NJ2


def pose_mixup(shots_NJ2: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Extend a few shots to ``count`` poses by convex combinations of two different shots (paper eq. 7).

    Args:
        shots_NJ2: at least two poses, crop units.
        count: poses to make (the paper's E, 1000 by default there).
        rng: source of the pairs and of the ratio, uniform in [0, 1].

    Raises:
        DataError: fewer than two shots.
    """
    n = len(shots_NJ2)
    if n < 2:
        raise DataError("shots", f"pose-mixup needs at least two poses, found {n}", "annotate one more pose")
    first_N = rng.integers(n, size=count)
    second_N = (first_N + rng.integers(1, n, size=count)) % n
    ratio_N11 = rng.random(count, dtype=np.float32)[:, None, None]
    return (ratio_N11 * shots_NJ2[first_N] + (1 - ratio_N11) * shots_NJ2[second_N]).astype(np.float32)
