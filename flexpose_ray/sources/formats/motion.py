"""3D motion capture: BVH files, or an .npz of joint positions, one clip each; y is up."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.film import Clip
from flexpose_ray.sources.formats.bvh import read_bvh

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


def bvh_files(folder: Path) -> list[Path]:
    """All ``.bvh`` and ``.bvh.gz`` of a folder and of the folders in it.

    Raises:
        DataError: there is none.
    """
    files = sorted(file for file in folder.rglob("*") if file.name.lower().endswith((".bvh", ".bvh.gz")))
    if not files:
        raise DataError(folder, "no .bvh or .bvh.gz there", "give a BVH file or a folder of them")
    return files


def read_bvh_clip(file: Path, root: Path) -> Clip:
    """Read a BVH file. A clip's name is the file's within ``root``; its label the action in names such as
    ``dataset-1_walk_happy_001``, otherwise empty.

    Raises:
        DataError: as :func:`read_bvh`.
    """
    joints, world_FS3, notes = read_bvh(file)
    name = re.sub(r"\.bvh(\.gz)?$", "", str(file.relative_to(root)), flags=re.IGNORECASE)
    action = BANDAI_NAME.fullmatch(name.rpartition("/")[2])
    return Clip(name, action.group(1) if action else "", str(file), joints, world_FS3, notes=notes)


def read_npz_clips(path: Path) -> Iterator[Clip]:
    """Read an ``.npz`` of joint positions: arrays (F, S, 3), named ``action/clip``; the action is the label.

    An array ``joints`` holds the S joints' names; without it they are the 38 of CMU's skeleton in its order.

    Raises:
        DataError: an unreadable file, arrays of another shape, or NaN.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {key: found[key] for key in sorted(found)}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as e:  # TypeError: a bare .npy
        raise DataError(path, f"not a readable .npz: {e}", "save it again, without object arrays") from e
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
