"""Pose sets made by the package: an activity seen from the side, by forward kinematics, or the studio's poses.

World axes of activities in metres: x ahead of the person, y up, z to the person's right, so that the camera at yaw 0
stands to the right of the person.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import numpy as np

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.geometry import crop, project
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.motions import read_motions
from flexpose_ray.studio.options import parse_studio
from flexpose_ray.studio.people import SEGMENTS
from flexpose_ray.studio.world import studio_poses

FRAMES_PER_PERSON = 20
NOISE_PX = 4.0  # of one annotated joint; a person is about 600 pixels long


def sample_synthetic(request: str) -> PoseSet:
    """Make a pose set.

    Args:
        request: ``rowing`` or ``cycling``, with count and seed: ``rowing?count=2000&seed=0`` (the defaults); or
            ``studio``, with the options of :class:`~flexpose_ray.studio.world.Studio`, and ``motion=KIND:PATH``.

    Returns:
        Poses with the activity as label and the person as group, of whom each has 20 frames. The studio's groups are
        clips of 16 frames.

    Raises:
        ConfigError: unknown activity or parameter, or a count below 1.
    """
    where = f"source 'synthetic:{request}'"
    name, _, query = request.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    if name == "studio":
        return studio_poses(parse_studio(given, f"synthetic:{request}", read_motions))
    if name not in ACTIVITIES:
        raise ConfigError(where, f"unknown activity {name!r}", f"choose one of {', '.join(ACTIVITIES)}, studio")
    options = {"count": "2000", "seed": "0"}
    if not set(given) <= set(options) or not all(v.isdecimal() for v in given.values()):
        raise ConfigError(where, f"cannot use {query!r}", f"write synthetic:{name}?count=2000&seed=0")
    count, seed = (int(value) for value in (options | given).values())
    if count < 1:
        raise ConfigError(where, "count is 0, expected at least 1", f"write synthetic:{name}?count=2000")
    rng = np.random.default_rng(seed)
    persons = -(-count // FRAMES_PER_PERSON)
    group_N = np.repeat(np.arange(persons), FRAMES_PER_PERSON)[:count]
    body = {part: _vary(rng, share, 0.03 * share, persons)[group_N] for part, share in SEGMENTS.items()}
    world_NJ3 = ACTIVITIES[name](rng, body, group_N, persons)
    pixels_NJ2 = project(
        world_NJ3 * _vary(rng, 1.72, 0.09, persons)[group_N, None, None],
        yaw_N=_vary(rng, 0, 0.25, persons)[group_N],
        pitch_N=_vary(rng, 0.06, 0.06, persons)[group_N],
        distance_N=rng.uniform(3.5, 6.0, persons)[group_N],
    )
    keypoints_NJ2, crop_N3 = crop(pixels_NJ2 + rng.normal(0, NOISE_PX, pixels_NJ2.shape))
    return PoseSet(keypoints_NJ2, "body_15", crop_N3, group_N.astype(str), np.full(count, name))


def _rowing(rng: np.random.Generator, body: dict[str, np.ndarray], group_N: np.ndarray, persons: int) -> np.ndarray:
    """The stroke on a rowing ergometer: catch, drive (legs, trunk, arms), finish, recovery (arms, trunk, legs).

    The seat slides at one height, the feet stay, the hands hold the handle in front of the body.
    """

    def each(mean: float, spread: float) -> np.ndarray:
        return _vary(rng, mean, spread, persons)[group_N]

    phase_N = rng.random(len(group_N))
    drive_N = each(0.4, 0.04)  # its share of the stroke
    pull_N, back_N = phase_N / drive_N, (phase_N - drive_N) / (1 - drive_N)
    driving_N = phase_N < drive_N
    legs_N = np.where(driving_N, _ease(pull_N, 0.0, 0.65), 1 - _ease(back_N, 0.4, 1.0))
    trunk_N = np.where(driving_N, _ease(pull_N, 0.3, 0.9), 1 - _ease(back_N, 0.15, 0.55))
    arms_N = np.where(driving_N, _ease(pull_N, 0.55, 1.0), 1 - _ease(back_N, 0.0, 0.35))
    knee_N = np.radians(_blend(each(58, 5), each(168, 4), legs_N))
    lean_N = np.radians(_blend(each(28, 5), each(-24, 5), trunk_N))  # ahead of the vertical
    elbow_N = np.radians(_blend(each(172, 3), each(80, 8), arms_N))

    foot_height_N, zero_N = each(-0.07, 0.015), np.zeros(len(group_N))
    hip_to_foot_N = np.sqrt(_third_side(body["thigh"], body["shank"], knee_N) ** 2 - foot_height_N**2)
    pelvis_N3 = np.stack([zero_N, zero_N, zero_N], 1)
    neck_N3 = body["trunk"][:, None] * np.stack([np.sin(lean_N), np.cos(lean_N), zero_N], 1)
    reach_N = _third_side(body["upper_arm"], body["forearm"], elbow_N)
    drop_N = np.minimum(neck_N3[:, 1] - each(0.13, 0.015), 0.94 * reach_N)  # from the shoulder down to the handle
    hands_N3 = neck_N3 + np.stack([np.sqrt(reach_N**2 - drop_N**2), -drop_N, zero_N], 1)
    feet_N3 = np.stack([hip_to_foot_N, foot_height_N, zero_N], 1)
    nod_N = 0.5 * lean_N + np.radians(each(22, 6))
    return _person(body, pelvis_N3, neck_N3, nod_N, hands_N3, (feet_N3, feet_N3), elbow_pole=(-1.0, -0.4, 0.5))


def _cycling(rng: np.random.Generator, body: dict[str, np.ndarray], group_N: np.ndarray, persons: int) -> np.ndarray:
    """Pedalling on a bicycle: saddle and handlebar stay, the feet go round half a turn apart."""

    def each(mean: float, spread: float) -> np.ndarray:
        return _vary(rng, mean, spread, persons)[group_N]

    zero_N = np.zeros(len(group_N))
    lean_N = np.radians(each(45, 9))
    pelvis_N3 = np.stack([zero_N, zero_N, zero_N], 1)
    neck_N3 = body["trunk"][:, None] * np.stack([np.sin(lean_N), np.cos(lean_N), zero_N], 1)
    reach_N = _third_side(body["upper_arm"], body["forearm"], np.radians(each(150, 8)))
    arm_N = np.radians(each(48, 6))  # below the horizontal
    hands_N3 = neck_N3 + reach_N[:, None] * np.stack([np.cos(arm_N), -np.sin(arm_N), zero_N], 1)
    crank_N, turn_N = each(0.1, 0.003), rng.uniform(0, 2 * np.pi, len(group_N))
    longest_N = _third_side(body["thigh"], body["shank"], np.radians(each(150, 5)))  # the knee at the lowest pedal
    tube_N = np.radians(each(16, 2))  # the seat tube, behind the vertical
    centre_N3 = (longest_N - crank_N)[:, None] * np.stack([np.sin(tube_N), -np.cos(tube_N), zero_N], 1)
    circle_N3 = crank_N[:, None] * np.stack([np.cos(turn_N), np.sin(turn_N), zero_N], 1)
    nod_N = np.radians(each(48, 8))
    feet = (centre_N3 + circle_N3, centre_N3 - circle_N3)
    return _person(body, pelvis_N3, neck_N3, nod_N, hands_N3, feet, elbow_pole=(-0.6, -1.0, 0.6))


ACTIVITIES = {"rowing": _rowing, "cycling": _cycling}


def _person(
    body: dict[str, np.ndarray],
    pelvis_N3: np.ndarray,
    neck_N3: np.ndarray,
    nod_N: np.ndarray,
    hands_N3: np.ndarray,
    feet_N3: tuple[np.ndarray, np.ndarray],
    elbow_pole: tuple[float, float, float],
) -> np.ndarray:
    """All joints from the middle of the body, the hands and the left and right foot; knees bend up, elbows to the pole.

    Args:
        body: segment -> length (N,).
        pelvis_N3: mid-hip.
        neck_N3: mid-shoulder.
        nod_N: angle of neck to face ahead of the vertical, radians.
        hands_N3: point between the hands, which are as far apart as the shoulders.
        feet_N3: left and right ankle, before they are moved apart.
        elbow_pole: where the right elbow points; the left one is its mirror image.
    """
    zero_N = np.zeros(len(nod_N))
    at = {"pelvis": pelvis_N3, "neck": neck_N3}
    at["head"] = neck_N3 + body["face"][:, None] * np.stack([np.sin(nod_N), np.cos(nod_N), zero_N], 1)
    for side, sign, foot_N3 in zip(("left", "right"), (-1, 1), feet_N3, strict=True):
        shoulder_N3, hip_N3 = (sign * np.stack([zero_N, zero_N, body[part]], 1) for part in ("shoulder", "hip"))
        at[f"{side}_shoulder"] = neck_N3 + shoulder_N3
        at[f"{side}_wrist"] = hands_N3 + shoulder_N3
        at[f"{side}_hip"] = pelvis_N3 + hip_N3
        at[f"{side}_ankle"] = foot_N3 + hip_N3
        pole_3 = np.array(elbow_pole) * (1, 1, sign)
        ends = at[f"{side}_shoulder"], at[f"{side}_wrist"]
        at[f"{side}_elbow"] = _bend(*ends, body["upper_arm"], body["forearm"], pole_3)
        ends = at[f"{side}_hip"], at[f"{side}_ankle"]
        at[f"{side}_knee"] = _bend(*ends, body["thigh"], body["shank"], np.array([0.3, 1.0, 0.15 * sign]))
    return np.stack([at[joint] for joint in BODY_15.joints], 1)


def _bend(start_N3: np.ndarray, end_N3: np.ndarray, first_N: np.ndarray, second_N: np.ndarray, pole_3: np.ndarray):
    """The middle joint of a limb of two segments with given ends, on the side that the pole points to, (N, 3)."""
    span_N3 = end_N3 - start_N3
    length_N = np.linalg.norm(span_N3, axis=1)
    along_N3 = span_N3 / length_N[:, None]
    foot_N = (first_N**2 - second_N**2 + length_N**2) / (2 * length_N)
    height_N = np.sqrt(np.maximum(first_N**2 - foot_N**2, 0))
    across_N3 = pole_3 - along_N3 * (along_N3 @ pole_3)[:, None]
    across_N3 /= np.linalg.norm(across_N3, axis=1, keepdims=True)
    return start_N3 + foot_N[:, None] * along_N3 + height_N[:, None] * across_N3


def _third_side(first_N: np.ndarray, second_N: np.ndarray, angle_N: np.ndarray) -> np.ndarray:
    """Distance of a limb's ends from the angle (radians) at its middle joint."""
    return np.sqrt(first_N**2 + second_N**2 - 2 * first_N * second_N * np.cos(angle_N))


def _blend(a_N: np.ndarray, b_N: np.ndarray, share_N: np.ndarray) -> np.ndarray:
    return a_N + (b_N - a_N) * share_N


def _ease(t_N: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 before ``start``, 1 after ``end``, smooth between."""
    s_N = np.clip((t_N - start) / (end - start), 0, 1)
    return s_N * s_N * (3 - 2 * s_N)


def _vary(rng: np.random.Generator, mean: float, spread: float, count: int) -> np.ndarray:
    """A person's own value: normal, no further than two spreads from the mean."""
    return mean + spread * np.clip(rng.standard_normal(count), -2, 2)
