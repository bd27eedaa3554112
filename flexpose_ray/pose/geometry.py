"""Poses as points: crop to the canvas and back, camera projection of 3D poses, flip, pose-mixup."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose.skeleton import BODY_15, Skeleton

if TYPE_CHECKING:  # importing torch takes seconds, and arrays do not need it
    import torch

CROP_FILL = 0.8  # the longer side of a pose's bounding box, as a share of the canvas
FOCAL_PX = 1000.0


def crop(pixels_NJ2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre every pose's bounding box on the canvas, its longer side at 0.8 of it, aspect kept.

    Args:
        pixels_NJ2: keypoints in pixels, finite.

    Returns:
        keypoints_NJ2: float32 in crop units.
        crop_N3: float32 rows (scale, offset_x, offset_y) such that ``pixels = keypoints * scale + offset``.

    Raises:
        DataError: a pose has all joints in one point and so no size.
    """
    pixels_NJ2 = np.asarray(pixels_NJ2, np.float64)
    low_N2, high_N2 = pixels_NJ2.min(1), pixels_NJ2.max(1)
    scale_N = (high_N2 - low_N2).max(1) / CROP_FILL
    if (scale_N <= 0).any():
        raise DataError(
            f"pose {int(np.argmin(scale_N))}", "all joints are in one point", "drop poses without extent first"
        )
    offset_N2 = (low_N2 + high_N2) / 2 - 0.5 * scale_N[:, None]
    keypoints_NJ2 = (pixels_NJ2 - offset_N2[:, None]) / scale_N[:, None, None]
    crop_N3 = np.concatenate([scale_N[:, None], offset_N2], 1)
    return keypoints_NJ2.astype(np.float32), crop_N3.astype(np.float32)


def uncrop(keypoints_NJ2: np.ndarray, crop_N3: np.ndarray) -> np.ndarray:
    """Undo :func:`crop`: crop units back to pixels, float32."""
    scale_N11, offset_N12 = crop_N3[:, :1, None], crop_N3[:, None, 1:]
    return (keypoints_NJ2 * scale_N11 + offset_N12).astype(np.float32)


def project(
    world_NJ3: np.ndarray, yaw_N: np.ndarray, pitch_N: np.ndarray, distance_N: np.ndarray, focal_px: float = FOCAL_PX
) -> np.ndarray:
    """See every 3D pose through a pinhole camera that looks at the middle of its joints.

    Args:
        world_NJ3: joints in any length unit, y up.
        yaw_N: the camera's angle around the pose, radians: at 0 it stands on the positive z side, at pi / 2 on
            the positive x side.
        pitch_N: how far it looks down, radians.
        distance_N: camera to the middle of the joints, in the unit of ``world_NJ3``.
        focal_px: focal length in pixels; it only sets the unit of the result.

    Returns:
        pixels_NJ2: float64, x to the right, y down, the middle of the joints at (0, 0).

    Raises:
        DataError: a joint is not in front of the camera.
    """
    world_NJ3 = np.asarray(world_NJ3, np.float64)
    pixels_NJ2, depth_NJ = seen(world_NJ3, world_NJ3.mean(1), yaw_N, pitch_N, distance_N, focal_px)
    if (depth_NJ <= 0).any():
        row = int((depth_NJ <= 0).any(1).argmax())
        raise DataError(f"pose {row}", "a joint is behind the camera", "put the camera further away")
    return pixels_NJ2


def seen(
    world_NP3: np.ndarray,
    middle_N3: np.ndarray,
    yaw_N: np.ndarray,
    pitch_N: np.ndarray,
    distance_N: np.ndarray,
    focal_px: float = FOCAL_PX,
) -> tuple[np.ndarray, np.ndarray]:
    """Any points through the cameras of :func:`project`, which look at ``middle_N3``.

    Returns:
        pixels_NP2: float64, as :func:`project`; without meaning where the depth is not positive.
        depth_NP: distance in front of the camera, along its line of sight.
    """
    x_NP, y_NP, z_NP = np.moveaxis(world_NP3 - middle_N3[:, None], 2, 0)
    yaw_N1, pitch_N1 = (np.broadcast_to(angle, len(world_NP3))[:, None] for angle in (yaw_N, pitch_N))
    right_NP = np.cos(yaw_N1) * x_NP - np.sin(yaw_N1) * z_NP
    near_NP = np.sin(yaw_N1) * x_NP + np.cos(yaw_N1) * z_NP
    up_NP = np.cos(pitch_N1) * y_NP - np.sin(pitch_N1) * near_NP
    near_NP = np.sin(pitch_N1) * y_NP + np.cos(pitch_N1) * near_NP
    depth_NP = np.broadcast_to(distance_N, len(world_NP3))[:, None] - near_NP
    return focal_px * np.stack([right_NP, -up_NP], 2) / np.where(depth_NP == 0, 1.0, depth_NP)[..., None], depth_NP


def body_length(body_FJ3: np.ndarray) -> float:
    """Of body_15 in 3D: head to neck to pelvis, hip to knee to ankle (mean of both legs); median of the frames."""
    at = {joint: body_FJ3[:, i] for i, joint in enumerate(BODY_15.joints)}
    chains = [("head", "neck", 1.0), ("neck", "pelvis", 1.0)]
    for side in ("left", "right"):
        chains += [(f"{side}_hip", f"{side}_knee", 0.5), (f"{side}_knee", f"{side}_ankle", 0.5)]
    length_F = sum(share * np.linalg.norm(at[a] - at[b], axis=1) for a, b, share in chains)
    return float(np.median(length_F))


def flip(keypoints_NJ2: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Mirror poses left to right on the canvas; joints keep their meaning (a left wrist stays a left wrist)."""
    flipped_NJ2 = np.asarray(keypoints_NJ2)[:, list(skeleton.flip)].copy()
    flipped_NJ2[..., 0] = 1.0 - flipped_NJ2[..., 0]
    return flipped_NJ2


def mirrored(poses_NJ2: torch.Tensor, flip_J: torch.Tensor) -> torch.Tensor:
    """:func:`flip` of tensors, on their device; ``flip_J`` is the skeleton's ``flip``."""
    return poses_NJ2[:, flip_J] * poses_NJ2.new_tensor([-1, 1]) + poses_NJ2.new_tensor([1, 0])


def with_mirrored(keypoints_NJ2: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Poses followed by their mirror images: (2N, J, 2)."""
    return np.concatenate([keypoints_NJ2, flip(keypoints_NJ2, skeleton)])


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
