"""MediaPipe's 33 landmarks of a pose, written as JSON in the forms that people write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import number, read_json

PARTS = ("shoulder", "elbow", "wrist", "pinky", "index", "thumb", "hip", "knee", "ankle", "heel", "foot_index")
FACE = ["nose"] + [f"{s}_eye{e}" for s in ("left", "right") for e in ("_inner", "", "_outer")]
FACE += ["left_ear", "right_ear", "mouth_left", "mouth_right"]
NAMES = FACE + [f"{side}_{part}" for part in PARTS for side in ("left", "right")]
UNIT = 1e-3  # of a picture; landmarks are shares of it


def read_mediapipe(file: Path) -> RawPoses:
    """Read poses from JSON: lists of 33 landmarks with x, y and visibility, at any depth; group is the file.

    Landmarks are shares of the picture, whose size the source states (``size=640x480``).

    Raises:
        DataError: no 33 landmarks there; other numbers of them are MediaPipe's faces (468) and hands (21).
    """
    points, rows, counts = [], [], set()
    _collect(read_json(file, "landmarks of MediaPipe"), "", points, rows, counts)
    if not points:
        others = f"lists of {', '.join(map(str, sorted(counts)))} points" if counts else "no landmarks"
        raise DataError(file, f"found {others}, expected 33", "give the pose's landmarks with x, y and visibility")
    points_NS3 = np.array(points, np.float64)
    return RawPoses(
        points_NS2=points_NS3[..., :2],
        names=NAMES,
        row_names=rows,
        group_N=np.full(len(rows), file.stem),
        confidence_NS=points_NS3[..., 2].clip(0, 1),
        min_extent=UNIT,
    )


def _collect(found: object, place: str, points: list, rows: list[str], counts: set[int]) -> None:
    """All poses of a tree of lists and objects, in their order."""
    stack = [(found, place)]
    while stack:
        found, place = stack.pop()
        if isinstance(found, dict):
            stack += [(value, f"{place}.{key}"[-80:]) for key, value in reversed(found.items())]
        elif isinstance(found, list):
            if found and all(isinstance(point, dict) and "x" in point and "y" in point for point in found):
                counts.add(len(found))
                if len(found) == len(NAMES) and "world" not in place.lower():
                    try:
                        points.append([_landmark(point) for point in found])
                        rows.append(f"pose {len(rows)} at {place}")
                    except (ValueError, OverflowError):
                        points.append([(np.nan,) * 3] * len(NAMES))
                        rows.append(f"pose {len(rows)} at {place}")
            else:
                stack += [(value, f"{place}[{i}]"[-80:]) for i, value in reversed(list(enumerate(found)))]


def _landmark(point: dict) -> tuple[float, float, float]:
    sure = point.get("visibility", point.get("score", 1.0))
    return number(point["x"]), number(point["y"]), number(sure)
