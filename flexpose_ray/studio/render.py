"""Pictures of people in motion: shaded capsules, painted from the farthest to the nearest, before a backdrop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexpose_ray.pose.geometry import FOCAL_PX, body_length, crop, seen
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.people import Person

YAWS, PITCH = (45.0, 135.0, 225.0, 315.0), 10.0  # of the fixed cameras, degrees
DISTANCE = 2.5  # to the body's middle, in body lengths
WALL = 0.62  # a backdrop spans this many focal lengths
EXTRA = ("crown", "face", "left_toes", "right_toes")  # points that pictures show and poses do not have
POINTS = {name: i for i, name in enumerate((*BODY_15.joints, *EXTRA))}
# Limbs: both ends, radius in body lengths, colour, radius of the far end as a share.
LIMBS = (
    ("pelvis", "neck", 0.075, "top", 1.25),
    ("left_shoulder", "right_shoulder", 0.045, "top", 1.0),
    ("left_hip", "right_hip", 0.055, "leg", 1.0),
    ("neck", "head", 0.030, "skin", 1.0),
    *((f"{s}_shoulder", f"{s}_elbow", 0.030, "sleeve", 0.9) for s in ("left", "right")),
    *((f"{s}_elbow", f"{s}_wrist", 0.024, "skin", 0.8) for s in ("left", "right")),
    *((f"{s}_hip", f"{s}_knee", 0.042, "leg", 0.85) for s in ("left", "right")),
    *((f"{s}_knee", f"{s}_ankle", 0.032, "leg", 0.75) for s in ("left", "right")),
    *((f"{s}_ankle", f"{s}_toes", 0.030, "shoe", 0.9) for s in ("left", "right")),
    *((f"{s}_wrist", f"{s}_wrist", 0.030, "skin", 1.0) for s in ("left", "right")),
    ("crown", "crown", 0.072, "hair", 1.0),
    ("face", "face", 0.052, "skin", 1.0),
)
NEARER = {"face": 0.02, "crown": 0.01, "left_wrist": 0.005, "right_wrist": 0.005}  # of a ball, in body lengths


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one clip, row by row.

    Attributes:
        images_NHW3: uint8, RGB.
        masks_NHW: uint8; 255 where the person is.
        keypoints_NJ2: float32, crop units: times the side, pixels of the picture.
        crop_N3: of the poses, as :func:`~flexpose_ray.pose.geometry.crop` gives it.
    """

    images_NHW3: np.ndarray
    masks_NHW: np.ndarray
    keypoints_NJ2: np.ndarray
    crop_N3: np.ndarray


def render(world_FJ3: np.ndarray, person: Person, yaw: float, backdrop: np.ndarray | None, size: int) -> Pictures:
    """Film one clip with a fixed camera; each picture is cropped to its pose.

    Args:
        world_FJ3: joints of body_15, y up, any length unit.
        person: who moves.
        yaw: where the camera stands, degrees.
        backdrop: RGB in [0, 1], square; None: black.
        size: side of the pictures, pixels.
    """
    frames, length = len(world_FJ3), body_length(world_FJ3)
    points_FP3 = _with_extra(world_FJ3, length)
    angles = np.full(frames, np.radians(yaw)), np.full(frames, np.radians(PITCH))
    distance = DISTANCE * length
    pixels_FP2, depth_FP = seen(points_FP3, world_FJ3.mean(1), *angles, np.full(frames, distance))
    keypoints_FJ2, crop_F3 = crop(pixels_FP2[:, : BODY_15.n_joints])
    places_FP2 = (pixels_FP2 - crop_F3[:, None, 1:]) / crop_F3[:, :1, None]
    unit_F = FOCAL_PX / DISTANCE / crop_F3[:, 0]  # one body length in crop units
    images, masks = [], []
    for places_P2, depth_P, unit, crop_3 in zip(places_FP2, depth_FP / length, unit_F, crop_F3, strict=True):
        canvas = np.zeros((size, size, 4), np.float32)
        if backdrop is not None:
            canvas[..., :3] = _window(backdrop, crop_3, size)
        for start, end, radius, color, taper in sorted(LIMBS, key=lambda limb: -_depth(limb, depth_P)):
            ends = places_P2[POINTS[start]], places_P2[POINTS[end]]
            _paint(canvas, *ends, radius * unit * person.girth, taper, person.colors[color])
        picture = np.rint(canvas * 255).astype(np.uint8)
        images.append(picture[..., :3])
        masks.append(picture[..., 3])
    return Pictures(np.stack(images), np.stack(masks), keypoints_FJ2, crop_F3)


def _with_extra(world_FJ3: np.ndarray, length: float) -> np.ndarray:
    """Joints and ``EXTRA`` points, (F, 19, 3)."""
    at = {joint: world_FJ3[:, i] for i, joint in enumerate(BODY_15.joints)}
    ahead_F3 = _unit(np.cross(at["left_shoulder"] - at["right_shoulder"], at["neck"] - at["pelvis"]))
    crown_F3 = at["head"] + 0.05 * length * _unit(at["head"] - at["neck"])
    level_F3 = 0.09 * length * _unit(ahead_F3 * (1, 0, 1)) - (0, 0.03 * length, 0)
    extra = [crown_F3, crown_F3 + 0.04 * length * ahead_F3, at["left_ankle"] + level_F3, at["right_ankle"] + level_F3]
    return np.concatenate([world_FJ3, np.stack(extra, 1)], 1)


def _unit(v_F3: np.ndarray) -> np.ndarray:
    return v_F3 / (np.linalg.norm(v_F3, axis=1, keepdims=True) + 1e-9)


def _depth(limb: tuple, depth_P: np.ndarray) -> float:
    """Of a limb's middle, in body lengths; balls lie a little nearer than what they sit on."""
    start, end = limb[:2]
    near = NEARER.get(start, 0.0) if start == end else 0.0
    return (depth_P[POINTS[start]] + depth_P[POINTS[end]]) / 2 - near


def _window(backdrop: np.ndarray, crop_3: np.ndarray, size: int) -> np.ndarray:
    """What a crop shows of the backdrop, which stays where it is while crops follow the person."""
    side, (scale, *offset) = len(backdrop), crop_3
    grid_S = (np.arange(size) + 0.5) / size
    x_S, y_S = ((o + scale * grid_S) / (WALL * FOCAL_PX) + 0.5 for o in offset)
    columns, rows = ((v * side).astype(int).clip(0, side - 1) for v in (x_S, y_S))
    return backdrop[rows[:, None], columns]


def _paint(
    canvas: np.ndarray, start_2: np.ndarray, end_2: np.ndarray, radius: float, taper: float, color_3: np.ndarray
) -> None:
    """One capsule, anti-aliased and lit from the left, within its own box of a canvas of RGB and mask."""
    size, reach = len(canvas), radius * max(1.0, taper) + 1 / len(canvas)
    low = np.floor((np.minimum(start_2, end_2) - reach) * size).astype(int).clip(0, size)
    high = np.ceil((np.maximum(start_2, end_2) + reach) * size).astype(int).clip(0, size)
    if (high <= low).any():
        return
    x_W = (np.arange(low[0], high[0]) + 0.5) / size - start_2[0]
    y_H1 = (np.arange(low[1], high[1])[:, None] + 0.5) / size - start_2[1]
    ax, ay = end_2 - start_2
    share_HW = ((x_W * ax + y_H1 * ay) / max(ax**2 + ay**2, 1e-9)).clip(0, 1)
    across_HW, down_HW = x_W - share_HW * ax, y_H1 - share_HW * ay
    square_HW = across_HW**2 + down_HW**2
    radius_HW = radius * (1 + (taper - 1) * share_HW)
    cover_HW1 = ((radius_HW - np.sqrt(square_HW)) * size + 0.5).clip(0, 1)[..., None]
    round_HW = np.sqrt((1 - square_HW / radius_HW**2).clip(0, None))
    shade_HW1 = ((0.72 + 0.28 * round_HW) * (1 - 0.35 * across_HW / radius_HW))[..., None]
    patch = canvas[low[1] : high[1], low[0] : high[0]]
    patch[..., :3] += ((color_3 * shade_HW1).clip(0, 1) - patch[..., :3]) * cover_HW1
    patch[..., 3:] += (1 - patch[..., 3:]) * cover_HW1
