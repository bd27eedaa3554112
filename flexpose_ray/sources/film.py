"""3D motion to poses: each clip's joints are mapped onto the body, turned upright and seen by cameras."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.cameras import Cameras, upright
from flexpose_ray.sources.joint_map import IDENTITY_15, JointMap, form_joints
from flexpose_ray.sources.known import known_map
from flexpose_ray.sources.raw import RawPoses


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
        body_FJ3 = _body(clip, joint_map)
        if not len(body_FJ3):
            continue
        body_FJ3 = upright(body_FJ3, cameras.up or clip.up)
        pixels_NJ2, frame_N = cameras.see(body_FJ3, rng, clip.where)
        yield RawPoses(
            points_NS2=pixels_NJ2,
            names=list(IDENTITY_15),
            row_names=[f"{clip.name} frame {i + 1}" for i in frame_N],
            joint_map=IDENTITY_15,
            group_N=np.full(len(frame_N), clip.group or clip.name),
            label_N=np.full(len(frame_N), cameras.label or clip.label),
            marks_missing=False,
            notes=clip.notes,
        )


def _body(clip: Clip, joint_map: JointMap | None) -> np.ndarray:
    """The body's 15 joints (F, 15, 3)."""
    joint_map = joint_map or clip.joint_map or known_map(clip.joints)
    if joint_map is None:
        problem = f"joints that are not known: {', '.join(clip.joints[:8])}, ..."
        raise DataError(clip.where, problem, "name for every skeleton joint its own in a YAML file, as --mapping")
    if set(joint_map) != set(IDENTITY_15):
        raise DataError(clip.where, "the mapping is not of body_15", "map the joints of the body")
    joint_map = {joint: joint_map[joint] for joint in IDENTITY_15}
    none_FS = np.zeros(clip.world_FS3.shape[:2], bool)
    return form_joints(clip.where, clip.joints, joint_map, clip.world_FS3, none_FS)[0]
