"""300-W and 300-VW: one .pts (or Menpo's .ljson) for each picture or frame, 68 landmarks."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose.skeleton import FACE_68
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import number, read_text

SUFFIXES = (".pts", ".ljson")
POINTS = re.compile(r"n_points\s*:\s*(\d{1,6})", re.IGNORECASE)
MAX_POINTS = 10_000


def pts_files(folder: Path) -> list[Path]:
    """All .pts and .ljson of a folder and of the folders in it, without mirrored copies (``*_mirror.pts``).

    Raises:
        DataError: there is none.
    """
    files = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and not file.stem.endswith("_mirror")
    )
    if not files:
        raise DataError(folder, "no .pts or .ljson there", "give the folder of 300-W, or of 300-VW's videos")
    return files


def read_pts(file: Path, root: Path) -> RawPoses:
    """Read the landmarks of one picture; files of other than 68 points are counted.

    Group is the video's folder where the file lies in a folder ``annot``, else the file's own name within ``root``.
    Left and right are the picture's, as in iBUG's order.

    Raises:
        DataError: no points between braces, or one that is no number.
    """
    text = read_text(file)
    points_S2 = _menpo(file, text) if file.suffix.lower() == ".ljson" else _points(file, text)
    name = file.relative_to(root).with_suffix("")
    group = str(name.parent.parent) if name.parent.name == "annot" else str(name)
    group = root.name if group == "." else group
    known = len(points_S2) == FACE_68.n_joints
    return RawPoses(
        points_NS2=points_S2[None] if known else np.zeros((0, FACE_68.n_joints, 2)),
        names=FACE_68.joints,
        row_names=[str(name)] * known,
        joint_map={joint: (joint,) for joint in FACE_68.joints},
        group_N=np.full(int(known), group),
        picture_N=np.array([_picture(file)] * known, np.str_),
        passed={} if known else {f"of {len(points_S2)} points, not 68": 1},
    )


def _points(file: Path, text: str) -> np.ndarray:
    """The points between the braces, (S, 2)."""
    before, brace, rest = text.partition("{")
    inside, closed, _ = rest.partition("}")
    if not brace or not closed:
        raise DataError(file, "no points between { and }", "give a whole .pts file")
    try:
        values = [float(word) for word in inside.split()]
    except ValueError as e:
        raise DataError(file, f"a coordinate is no number: {str(e)[:80]}", "correct or delete this file") from e
    if len(values) % 2 or len(values) > 2 * MAX_POINTS:
        raise DataError(file, f"found {len(values)} numbers, expected two a point", "correct or delete this file")
    counted = POINTS.search(before)
    if counted and 2 * int(counted[1]) != len(values):
        problem = f"found {len(values) // 2} points, expected the {counted[1]} of its header"
        raise DataError(file, problem, "give a whole .pts file")
    return np.array(values, np.float64).reshape(-1, 2)


def _menpo(file: Path, text: str) -> np.ndarray:
    """The points of a .ljson, (S, 2); it writes y before x."""
    try:
        found = json.loads(text)
        if not isinstance(found, dict):
            raise ValueError("not an object")
        groups = found.get("landmarks", found)
        points = groups["points"] if "points" in groups else next(iter(found["groups"].values()))["landmarks"]["points"]
        if len(points) > MAX_POINTS:
            raise ValueError(f"{len(points)} points")
        yx_S2 = np.array([[number(value) for value in point] for point in points], np.float64).reshape(-1, 2)
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration, RecursionError, OverflowError) as e:
        raise DataError(file, f"no landmarks there: {str(e)[:80]}", "give a Menpo .ljson") from e
    return np.where([math.isfinite(v) for v in yx_S2.sum(1)], yx_S2.T, np.nan).T[:, ::-1] if len(yx_S2) else yx_S2


def _picture(file: Path) -> str:
    """The picture beside a file."""
    return next((str(p) for end in (".jpg", ".png") if (p := file.with_suffix(end)).is_file()), "")
