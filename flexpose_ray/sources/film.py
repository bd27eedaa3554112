"""3D motion to poses: each clip's joints are mapped onto the body, turned upright and seen by cameras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.cameras import Cameras, upright
from flexpose_ray.sources.checks import ALONG, KNEES, UPRIGHT
from flexpose_ray.sources.joint_map import IDENTITY_15, JointMap, form_joints
from flexpose_ray.sources.known import known_map
from flexpose_ray.sources.raw import RawPoses

MOSTLY = 0.7  # of the line from ankles to head, along one axis
BENT = 0.03  # of the leg; a straighter one does not show where it bends
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Clip:
    """One motion as its file has it.

    Attributes:
        name: becomes the group of its poses.
        label: becomes theirs, unless the cameras give one.
        where: the clip, for errors.
        joints: the names of the S joints.
        world_FS3: their positions in every frame, float64, any length unit.
        up: the axis that points up, see :data:`~flexpose_ray.sources.cameras.TURNS`.
        joint_map: how the joints form body_15's, where the format fixes that.
        group: of its poses, if it is not the name.
        notes: what people should know of it.
    """

    name: str
    label: str
    where: str
    joints: list[str]
    world_FS3: np.ndarray
    up: str = "y"
    joint_map: JointMap | None = None
    group: str = ""
    notes: tuple[str, ...] = ()


def film(clips: Iterable[Clip | RawPoses], cameras: Cameras, joint_map: JointMap | None = None) -> Iterator[RawPoses]:
    """Let cameras see clips, one after another.

    Args:
        clips: read one after another.
        cameras: who sees them.
        joint_map: from the joints of body_15 to the clips'; None: the names that are known, clip by clip.

    Returns:
        One part for each clip that has frames.

    Raises:
        DataError: joints that are not known, or as :meth:`Cameras.see`.
    """
    rng = np.random.default_rng(cameras.seed)
    for clip in clips:
        if isinstance(clip, RawPoses):  # a file that could not be read
            yield clip
            continue
        clip_FJ3 = body_of(clip, joint_map)
        if not len(clip_FJ3):
            continue
        body_FJ3 = upright(clip_FJ3, cameras.up or clip.up)
        pixels_NJ2, frame_N = cameras.see(body_FJ3, rng, clip.where)
        yield RawPoses(
            points_NS2=pixels_NJ2,
            names=list(IDENTITY_15),
            row_names=[f"{clip.name} frame {i + 1}" for i in frame_N],
            joint_map=IDENTITY_15,
            group_N=np.full(len(frame_N), clip.group or clip.name),
            label_N=np.full(len(frame_N), cameras.label or clip.label),
            marks_missing=False,
            seen={KNEES: _knees_forward(body_FJ3)} | _heads_along(clip_FJ3, cameras.up or clip.up),
            notes=clip.notes,
        )


def _heads_along(clip_FJ3: np.ndarray, up: str) -> dict[str, tuple[int, int]]:
    """In how many frames heads lie above ankles along the axis that is up, and along every other."""
    at = {joint: clip_FJ3[:, i] for i, joint in enumerate(IDENTITY_15)}
    body_F3 = at["head"] - (at["left_ankle"] + at["right_ankle"]) / 2
    share_F3 = body_F3 / (np.linalg.norm(body_F3, axis=1, keepdims=True) + TINY)
    along = {f"{sign}{axis}": share_F3[:, "xyz".index(axis)] for axis in "xyz" for sign in ("", "-")}
    counts = {axis: int(((-value_F if axis[0] == "-" else value_F) > MOSTLY).sum()) for axis, value_F in along.items()}
    return {UPRIGHT: (counts[up], len(body_F3))} | {f"{ALONG}{a}": (n, len(body_F3)) for a, n in counts.items()}


def _knees_forward(body_FJ3: np.ndarray) -> tuple[int, int]:
    """How many knees bend forward, of how many that bend: they do in people, and do not where sides are exchanged."""
    at = {joint: body_FJ3[:, i] for i, joint in enumerate(IDENTITY_15)}
    across_F3 = at["left_hip"] - at["right_hip"] + at["left_shoulder"] - at["right_shoulder"]
    forward_F3 = np.cross(across_F3, [0, 1, 0])
    forward_F3 /= np.linalg.norm(forward_F3, axis=1, keepdims=True) + TINY
    forward = bent = 0
    for side in ("left", "right"):
        hip_F3, knee_F3, ankle_F3 = (at[f"{side}_{part}"] for part in ("hip", "knee", "ankle"))
        ahead_F = ((knee_F3 - (hip_F3 + ankle_F3) / 2) * forward_F3).sum(1)
        bent_F = np.abs(ahead_F) > BENT * np.linalg.norm(hip_F3 - ankle_F3, axis=1)
        forward, bent = forward + int((bent_F & (ahead_F > 0)).sum()), bent + int(bent_F.sum())
    return forward, bent


def body_of(clip: Clip, joint_map: JointMap | None = None) -> np.ndarray:
    """The joints of body_15, (F, 15, 3), in the clip's axes.

    Raises:
        DataError: joints that are not known, or that a mapping does not name.
    """
    joint_map = joint_map or clip.joint_map or known_map(clip.joints)
    if joint_map is None:
        problem = f"joints that are not known: {', '.join(clip.joints[:8])}, ..."
        raise DataError(clip.where, problem, "name for every skeleton joint its own in a YAML file, as --mapping")
    if set(joint_map) != set(IDENTITY_15):
        raise DataError(clip.where, "the mapping is not of body_15", "map the joints of the body")
    joint_map = {joint: joint_map[joint] for joint in IDENTITY_15}
    none_FS = np.zeros(clip.world_FS3.shape[:2], bool)
    return form_joints(clip.where, clip.joints, joint_map, clip.world_FS3, none_FS)[0]
