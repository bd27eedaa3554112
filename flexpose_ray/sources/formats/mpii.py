"""MPII Human Pose as a CSV, plain or gzipped: one person on each line, 16 joints in pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.joint_map import IDENTITY_15
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import unpacked

JOINTS = [
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
]  # fmt: skip
TO_15 = IDENTITY_15 | {"head": ("head_top",), "neck": ("upper_neck",)}
CELLS = 1 + 2 * len(JOINTS)


def read_mpii(path: Path) -> RawPoses:
    """Read the persons of a file without header, lines ``picture,x0,y0,...,x15,y15`` in the order of ``JOINTS``.

    Head is the top of the head, neck the upper neck. Group is the picture's name, label is empty.

    Raises:
        DataError: a damaged file, a line with a wrong number of cells, a cell that is no number, or no person.
    """
    try:
        lines = unpacked(path).decode().splitlines()
    except UnicodeDecodeError as e:
        raise DataError(path, f"damaged file: {e}", "download it again") from e
    pictures, points, row_names = [], [], []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        picture, *cells = line.split(",")
        row_names.append(f"line {number}")
        if len(cells) + 1 != CELLS:
            problem = f"found {len(cells) + 1} cells, expected {CELLS}: the picture, x and y of {len(JOINTS)} joints"
            raise DataError(f"{path}, line {number}", problem, "correct or delete this line")
        try:
            points.append([float(cell) if cell.strip() else np.nan for cell in cells])
        except ValueError as e:
            raise DataError(f"{path}, line {number}", f"not a number: {e}", "a file for mpii has no header") from e
        pictures.append(picture)
    if not points:
        raise DataError(path, "no line there", "give the persons of MPII as CSV")
    return RawPoses(
        points_NS2=np.array(points).reshape(len(points), len(JOINTS), 2),
        names=JOINTS,
        row_names=row_names,
        joint_map=TO_15,
        group_N=np.array(pictures),
    )
