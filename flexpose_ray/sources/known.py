"""Joint names that are known by themselves: those of motion capture programs, game engines and annotation sets."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flexpose_ray.pose.skeleton import BODY_15, FACE_68, Skeleton
from flexpose_ray.sources.joint_map import JointMap, plain_name

SIDES = {"left": "l", "right": "r"}
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
FEW = 3

# Names without blanks, marks and capitals, {side} left or right, {s} l or r: head, neck, pelvis, then the limbs of a
# side. A blank in neck or pelvis stands between joints whose mean it is.
FAMILIES = (
    "head neck pelvis {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # ours
    "head neck hips {side}arm {side}forearm {side}hand {side}upleg {side}leg {side}foot",  # Mixamo, LAFAN, CMU as BVH
    "head neck hips {side}arm {side}forearm {side}hand {side}thigh {side}shin {side}foot",  # Rokoko
    "head neck hips {side}upperarm {side}lowerarm {side}hand {side}upperleg {side}lowerleg {side}foot",  # Unity, VRM
    "head neck hips upperarm{s} lowerarm{s} hand{s} upperleg{s} lowerleg{s} foot{s}",  # Bandai Namco
    "head neck01 pelvis upperarm{s} lowerarm{s} hand{s} thigh{s} calf{s} foot{s}",  # Unreal
    "head neck pelvis {s}upperarm {s}forearm {s}hand {s}thigh {s}calf {s}foot",  # 3ds Max Biped
    "head lowerneck hips {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # CMU, 38 joints
    "head neck hips {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",
    "head neck pelvis {s}shoulder {s}elbow {s}wrist {s}hip {s}knee {s}ankle",  # SMPL
    "headtop upperneck pelvis {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # MPII
    "headtop upperneck pelvis {s}shoulder {s}elbow {s}wrist {s}hip {s}knee {s}ankle",
    "headtop neck pelvis {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # MPI-INF-3DHP
    "headtop neck - {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # LSP
    "head neck - {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # CrowdPose
    "nose neck pelvis {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",
    "nose neck midhip {s}shoulder {s}elbow {s}wrist {s}hip {s}knee {s}ankle",  # OpenPose, 25 joints
    "nose - - {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # COCO
    "nose - - {s}shoulder {s}elbow {s}wrist {s}hip {s}knee {s}ankle",
    "head - - {side}shoulder {side}elbow {side}wrist {side}hip {side}knee {side}ankle",  # Penn Action
)


def known_map(names: Sequence[str], skeleton: Skeleton | None = None) -> JointMap | None:
    """The map of joints whose names are known, whatever their capitals, blanks, marks and namespaces; else None.

    Joints that are numbered, as in a file without names, are a skeleton's in its order.

    Args:
        names: of the source's joints.
        skeleton: which they shall form; None: body_15 or face_68.
    """
    for wanted in (BODY_15, FACE_68) if skeleton is None else (skeleton,):
        if set(wanted.joints) <= set(names):
            return {joint: (joint,) for joint in wanted.joints}
        if _numbered(names) == wanted.n_joints:
            return dict(zip(wanted.joints, [(name,) for name in names], strict=True))
    if skeleton not in (None, BODY_15):
        return None
    found = {plain_name(name): name for name in reversed(names)}
    for family in FAMILIES:
        if joint_map := _family_map(family.split(), found):
            return joint_map
    return None


def _numbered(names: Sequence[str]) -> int:
    """How many joints there are, where they are numbered from 0 or 1 in their order, as in ``point_0``; else 0."""
    found = [re.fullmatch(r"(.*?)(\d{1,4})", name) for name in names]
    if not found or not all(found) or len({match[1] for match in found}) > 1:
        return 0
    numbers = [int(match[2]) for match in found]
    return len(names) if numbers[0] in (0, 1) and numbers == list(range(numbers[0], numbers[0] + len(names))) else 0


def _family_map(family: list[str], found: dict[str, str]) -> JointMap | None:
    """The map of one family, where all its joints are among those found (plain name -> name)."""
    wanted: dict[str, tuple[str, ...]] = {}
    for joint in BODY_15.joints:
        side, _, limb = joint.partition("_")
        if limb:
            names = (family[3 + LIMBS.index(limb)].format(side=side, s=SIDES[side]),)
        else:
            name = family[("head", "neck", "pelvis").index(joint)]
            middle = family[3 + LIMBS.index("shoulder" if joint == "neck" else "hip")]
            names = (name,) if name != "-" else tuple(middle.format(side=side, s=s) for side, s in SIDES.items())
        wanted[joint] = names
    if not all(name in found for names in wanted.values() for name in names):
        return None
    return {joint: tuple(found[name] for name in names) for joint, names in wanted.items()}


def nearly_known(names: Sequence[str]) -> list[str]:
    """The joints that names lack of the family that they are nearest to, if they lack few."""
    found = {plain_name(name) for name in names}
    lacking = [[name for name in _family_names(family.split()) if name not in found] for family in FAMILIES]
    least = min(lacking, key=len)
    return least if 0 < len(least) <= FEW else []


def _family_names(family: list[str]) -> list[str]:
    middle = [name for name in family[:3] if name != "-"]
    return middle + [limb.format(side=side, s=s) for side, s in SIDES.items() for limb in family[3:]]
