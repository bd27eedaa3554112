"""3D motion seen by cameras: BVH files, or an .npz of joint positions, one group a clip; y is up."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.cameras import Cameras
from flexpose_ray.sources.formats.bvh import read_bvh
from flexpose_ray.sources.reading import IDENTITY_15, JointMap, ReadReport, finish

SIDES = ("left", "right")
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
BANDAI_PARTS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
BANDAI: JointMap = IDENTITY_15 | {"head": ("Head",), "neck": ("Neck",), "pelvis": ("Hips",)}
BANDAI |= {f"{s}_{a}": (f"{b}_{s[0].upper()}",) for s in SIDES for a, b in zip(LIMBS, BANDAI_PARTS, strict=True)}
CMU: JointMap = IDENTITY_15 | {"head": ("Head",), "neck": ("lowerneck",), "pelvis": ("Hips",)}
CMU |= {f"{s}_{part}": (f"{s.title()}{part.title()}",) for s in SIDES for part in LIMBS}
KNOWN = (BANDAI, CMU, IDENTITY_15)
CMU_38 = [
    "Hips",
    "LHipJoint", "LeftHip", "LeftKnee", "LeftAnkle", "LeftToe", "LeftToe_end",
    "RHipJoint", "RightHip", "RightKnee", "RightAnkle", "RightToe", "RightToe_end",
    "lowerback", "Chest", "Chest2", "lowerneck", "Neck", "Head", "Head_end",
    "LeftCollar", "LeftShoulder", "LeftElbow", "LeftWrist", "lhand", "LFingers", "LFingers_end", "LThumb", "LThumb_end",
    "RightCollar", "RightShoulder", "RightElbow", "RightWrist", "rhand", "RFingers", "RFingers_end", "RThumb",
    "RThumb_end",
]  # fmt: skip
BANDAI_NAME = re.compile(r"dataset-\d+_([^_]+)_[^_]+_\d+")  # dataset-1_wave-both-hands_happy_001: set, action, style


class Clip(NamedTuple):
    """One motion: its name and label, where it stands, its joints' names and positions (F, S, 3)."""

    name: str
    label: str
    where: str
    joints: list[str]
    world_FS3: np.ndarray


def read_bvh_motion(path: Path, cameras: Cameras, joint_map: JointMap | None = None) -> tuple[PoseSet, ReadReport]:
    """Read a ``.bvh`` or ``.bvh.gz``, or all of a folder and of the folders in it.

    Group is the file's name within the folder; label the action in names such as ``dataset-1_walk_happy_001``,
    otherwise empty, unless the cameras give one.

    Args:
        path: file or folder.
        cameras: who sees the motion.
        joint_map: from the skeleton's joints to the file's; None for the joints of Bandai-Namco, CMU or our own.

    Raises:
        DataError: no such files, joints that are not known, or as :func:`read_bvh`.
    """
    files = sorted(f for f in path.rglob("*") if f.name.endswith((".bvh", ".bvh.gz"))) if path.is_dir() else [path]
    if not files:
        raise DataError(path, "no .bvh or .bvh.gz there", "give a BVH file or a folder of them")
    return _see(str(path), _bvh_clips(path, files), cameras, joint_map)


def read_npz_motion(path: Path, cameras: Cameras, joint_map: JointMap | None = None) -> tuple[PoseSet, ReadReport]:
    """Read an ``.npz`` of joint positions: arrays (F, S, 3), named ``action/clip``, which are label and group.

    An array ``joints`` holds the S joints' names; without it they are the 38 of CMU's skeleton in its order.

    Raises:
        DataError: an unreadable file, arrays of another shape, NaN, or joints that are not known.
    """
    return _see(str(path), _npz_clips(path), cameras, joint_map)


def _bvh_clips(path: Path, files: list[Path]) -> Iterator[Clip]:
    for file in files:
        joints, world_FS3 = read_bvh(file)
        name = str(file.relative_to(path) if path.is_dir() else file.name).removesuffix(".gz").removesuffix(".bvh")
        action = BANDAI_NAME.fullmatch(name.rpartition("/")[2])
        yield Clip(name, action.group(1) if action else "", str(file), joints, world_FS3)


def _npz_clips(path: Path) -> Iterator[Clip]:
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {key: found[key] for key in sorted(found)}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as e:  # TypeError: a bare .npy
        raise DataError(path, f"not a readable .npz: {e}", "save it anew, without object arrays") from e
    joints = [str(name) for name in arrays.pop("joints", CMU_38)]
    if not arrays:
        raise DataError(path, "no clip there", "save it as np.savez(path, **{'action/clip': positions})")
    for name, world_FS3 in arrays.items():
        where = f"{path}, {name}"
        if world_FS3.ndim != 3 or world_FS3.shape[1:] != (len(joints), 3) or world_FS3.dtype.kind not in "iuf":
            problem = f"found {world_FS3.dtype} {world_FS3.shape}, expected numbers (frames, {len(joints)}, 3)"
            raise DataError(where, problem, "name other joints than CMU's 38 in an array `joints`")
        if not np.isfinite(world_FS3).all():
            frame = int((~np.isfinite(world_FS3)).any((1, 2)).argmax())
            raise DataError(f"{where} frame {frame + 1}", "NaN or infinite", "correct or delete this frame")
        yield Clip(name, name.rpartition("/")[0], where, joints, world_FS3.astype(np.float64))


def _see(
    source: str, clips: Iterator[Clip], cameras: Cameras, joint_map: JointMap | None
) -> tuple[PoseSet, ReadReport]:
    """Every clip's joints mapped onto the body, seen by the cameras and cropped."""
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
    return finish(
        source,
        np.concatenate(pixels),
        list(IDENTITY_15),
        IDENTITY_15,
        group_N=np.array(groups),
        label_N=np.array(labels),
        row_names=row_names,
    )


def _body(clip: Clip, joint_map: JointMap | None) -> np.ndarray:
    """The body's 15 joints (F, 15, 3)."""
    names = set(clip.joints)
    if joint_map is None:
        joint_map = next((known for known in KNOWN if _used(known) <= names), None)
    if joint_map is None:
        problem = f"joints that are not known: {', '.join(clip.joints[:8])}, ..."
        raise DataError(clip.where, problem, "name for every skeleton joint its own in a YAML file, as --mapping")
    if set(joint_map) != set(IDENTITY_15):
        raise DataError(clip.where, "the mapping is not of body_15", "map the joints of the body")
    if absent := sorted(_used(joint_map) - names):
        problem = f"no joint {absent[0]!r} there, found {', '.join(clip.joints)}"
        raise DataError(clip.where, problem, "map the joints you have with --mapping")
    if twice := sorted(name for name in _used(joint_map) if clip.joints.count(name) > 1):
        raise DataError(clip.where, f"two joints have the name {twice[0]!r}", "give every joint its own name")
    columns = [[clip.joints.index(name) for name in joint_map[joint]] for joint in IDENTITY_15]
    return np.stack([clip.world_FS3[:, parts].mean(1) for parts in columns], 1)


def _used(joint_map: JointMap) -> set[str]:
    """The source's joints that a map uses."""
    return {name for parts in joint_map.values() for name in parts}
