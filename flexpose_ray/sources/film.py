"""3D motion to poses: each clip's joints are mapped onto the body and seen by cameras. y is up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.cameras import Cameras
from flexpose_ray.sources.raw import IDENTITY_15, JointMap, RawPoses, joint_columns

SIDES = ("left", "right")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BANDAI_PARTS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
BANDAI: JointMap = IDENTITY_15 | {"head": ("Head",), "neck": ("Neck",), "pelvis": ("Hips",)}
BANDAI |= {f"{s}_{a}": (f"{b}_{s[0].upper()}",) for s in SIDES for a, b in zip(LIMBS, BANDAI_PARTS, strict=True)}
CMU: JointMap = IDENTITY_15 | {"head": ("Head",), "neck": ("lowerneck",), "pelvis": ("Hips",)}
CMU |= {f"{s}_{part}": (f"{s.title()}{part.title()}",) for s in SIDES for part in LIMBS}
KNOWN = (BANDAI, CMU, IDENTITY_15)  # tried in this order where the user gives no mapping


@dataclass(frozen=True, eq=False)
class Clip:
    """One motion as its file has it.

    Attributes:
        name: becomes the group of its poses.
        label: becomes theirs, unless the cameras give one.
        where: the clip, for errors.
        joints: the names of the S joints.
        world_FS3: their positions in every frame, float64, any length unit, y up.
    """

    name: str
    label: str
    where: str
    joints: list[str]
    world_FS3: np.ndarray


def film(source: str, clips: Iterable[Clip], cameras: Cameras, joint_map: JointMap | None = None) -> RawPoses:
    """Let cameras see clips.

    Args:
        source: the set, for the error.
        clips: read one after another.
        cameras: who sees them.
        joint_map: from the joints of body_15 to the clips'; None: one of ``KNOWN``, clip by clip.

    Raises:
        DataError: no frame, joints that are not known, or as :meth:`Cameras.see`.
    """
    rng = np.random.default_rng(cameras.seed)
    pixels, groups, labels, row_names = [], [], [], []
    for clip in clips:
        body_FJ3 = _body(clip, joint_map)
        if not len(body_FJ3):
            continue
        pixels_NJ2, frame_N = cameras.see(body_FJ3, rng, clip.where)
        pixels.append(pixels_NJ2)
        groups += [clip.name] * len(frame_N)
        labels += [cameras.label or clip.label] * len(frame_N)
        row_names += [f"{clip.name} frame {i + 1}" for i in frame_N]
    if not pixels:
        raise DataError(source, "no frame there", "give motion")
    return RawPoses(
        points_NS2=np.concatenate(pixels),
        names=list(IDENTITY_15),
        row_names=row_names,
        joint_map=IDENTITY_15,
        group_N=np.array(groups),
        label_N=np.array(labels),
    )


def _body(clip: Clip, joint_map: JointMap | None) -> np.ndarray:
    """The body's 15 joints (F, 15, 3)."""
    if joint_map is None:
        joint_map = next((known for known in KNOWN if _used(known) <= set(clip.joints)), None)
    if joint_map is None:
        problem = f"joints that are not known: {', '.join(clip.joints[:8])}, ..."
        raise DataError(clip.where, problem, "name for every skeleton joint its own in a YAML file, as --mapping")
    if set(joint_map) != set(IDENTITY_15):
        raise DataError(clip.where, "the mapping is not of body_15", "map the joints of the body")
    columns = joint_columns(clip.where, clip.joints, {joint: joint_map[joint] for joint in IDENTITY_15})
    if twice := sorted(name for name in _used(joint_map) if clip.joints.count(name) > 1):
        raise DataError(clip.where, f"two joints have the name {twice[0]!r}", "give every joint its own name")
    return np.stack([clip.world_FS3[:, parts].mean(1) for parts in columns], 1)


def _used(joint_map: JointMap) -> set[str]:
    """The source's joints that a map uses."""
    return {name for parts in joint_map.values() for name in parts}
