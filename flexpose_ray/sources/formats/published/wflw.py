"""WFLW: lists of faces with 98 landmarks, one face a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.skeleton import FACE_68
from flexpose_ray.sources.joint_map import JointMap
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import read_text

POINTS = 98
FIELDS = (2 * POINTS + 1, 2 * POINTS + 11)  # coordinates and picture; between them rectangle and six attributes
PARTS = ("train", "test")
# For the 68 landmarks of iBUG, in their order, the number of WFLW's: contour, brows, nose, eyes, mouth.
OF_98 = (
    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60), 60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75,
    *range(76, 96),
)  # fmt: skip
WFLW_TO_68: JointMap = {joint: (str(i),) for joint, i in zip(FACE_68.joints, OF_98, strict=True)}


def whole_folder(folder: Path) -> list[Path]:
    """The folder itself, for a set whose files say the same in part."""
    return [folder]


def read_wflw(file: Path, root: Path, part: str = "") -> RawPoses:
    """Read a list, or all lists of a folder: a face that stands in several is read once.

    Group is the picture, label is empty.

    Args:
        file: ``list_98pt_*.txt``, packed or not, or a folder of them.
        root: the folder that the source names.
        part: "train" or "test": only lists with this word in their names.

    Raises:
        ConfigError: another ``part``.
        DataError: no list there. A line of another length, or without numbers, counts as unreadable.
    """
    if part not in ("", *PARTS):
        raise ConfigError(file, f"part is {part!r}, expected train or test", "write part=train")
    files = [file] if file.is_file() else sorted(p for p in file.rglob("*.txt*") if p.name.startswith("list_98pt"))
    files = [p for p in files if not part or part in p.name]
    if not files:
        raise DataError(file, "no list_98pt_*.txt there", "give a list of WFLW, or the folder WFLW_annotations")
    points, pictures, rows, bad, seen = [], [], [], [], set()
    for path in files:
        for number, line in enumerate(read_text(path).splitlines(), 1):
            fields = line.split()
            if not fields:
                continue
            row = f"{path.name} line {number}"
            if len(fields) not in FIELDS:
                bad.append((row, f"found {len(fields)} fields, expected {FIELDS[0]} or {FIELDS[1]}"))
                continue
            same = (fields[-1], *fields[: 2 * POINTS])
            if same in seen:
                continue
            seen.add(same)
            try:
                points.append([float(field) for field in fields[: 2 * POINTS]])
            except ValueError as e:
                bad.append((row, f"a coordinate is no number: {str(e)[:80]}"))
                continue
            pictures.append(fields[-1])
            rows.append(row)
    return RawPoses(
        points_NS2=np.array(points, np.float64).reshape(len(points), POINTS, 2),
        names=[str(i) for i in range(POINTS)],
        row_names=rows,
        joint_map=WFLW_TO_68,
        group_N=np.array(pictures, np.str_),
        picture_N=np.array(pictures, np.str_),
        bad=tuple(bad),
    )
