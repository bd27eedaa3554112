"""COCO keypoint JSON, plain or gzipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.raw import IDENTITY_15, LIMBS_TO_15, RawPoses, unpacked

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ["nose"] + [f"{side}_{part}" for part in PARTS for side in ("left", "right")]
TO_15 = LIMBS_TO_15 | {"head": ("nose",)}


def read_coco(path: Path) -> RawPoses:
    """Read the persons of a COCO keypoint file; a joint with v = 0 is a missing one.

    Group is the image id, label is empty. Joint names come from the file's category; a file whose category names
    the skeleton's own joints (as our export writes it) is read as it is.

    Raises:
        DataError: broken JSON, no keypoints, a wrong number of them, or one that is no number.
    """
    found = _load(path)
    annotations = found.get("annotations") if isinstance(found, dict) else None
    if not isinstance(annotations, list):
        raise DataError(path, 'no list "annotations" there', "give a COCO keypoint file (person_keypoints_*.json)")
    persons = [a for a in annotations if isinstance(a, dict) and a.get("keypoints")]
    if not persons:
        raise DataError(path, f"none of {len(annotations)} annotations has keypoints", "give person_keypoints_*.json")
    names = _joint_names(found)
    row_names = [f"annotation {a.get('id', i)}" for i, a in enumerate(persons)]
    flat = _flat(path, persons, row_names, 3 * len(names))
    points_NS3 = np.array(flat, np.float64).reshape(len(persons), len(names), 3)
    return RawPoses(
        points_NS2=points_NS3[..., :2],
        names=names,
        row_names=row_names,
        joint_map=IDENTITY_15 if set(IDENTITY_15) <= set(names) else TO_15,
        group_N=np.array([str(a.get("image_id", name)) for a, name in zip(persons, row_names, strict=True)]),
        missing_NS=~(points_NS3[..., 2] > 0),
    )


def _load(path: Path) -> object:
    content = unpacked(path)
    try:
        return json.loads(content)
    except json.JSONDecodeError as e:
        raise DataError(f"{path}, line {e.lineno}, column {e.colno}", f"broken JSON: {e.msg}", "repair the file") from e
    except (UnicodeDecodeError, RecursionError) as e:
        raise DataError(path, f"damaged file: {e}", "download it again") from e


def _joint_names(found: dict) -> list[str]:
    """The joint names of the first category that has any, COCO's own 17 otherwise."""
    for category in found.get("categories") or []:
        if isinstance(category, dict) and category.get("keypoints"):
            return [str(name) for name in category["keypoints"]]
    return JOINTS


def _flat(path: Path, persons: list[dict], row_names: list[str], wanted: int) -> list[list[float]]:
    """The persons' keypoint lists, each checked to hold ``wanted`` numbers."""
    flat = [a["keypoints"] for a in persons]
    for row, values in zip(row_names, flat, strict=True):
        if not isinstance(values, list) or len(values) != wanted:
            size = len(values) if isinstance(values, list) else type(values).__name__
            problem = f"found {size} keypoint numbers, expected {wanted} (x, y, v of {wanted // 3} joints)"
            raise DataError(f"{path}, {row}", problem, "correct or delete this annotation")
        if not all(type(v) in (int, float) for v in values):
            raise DataError(f"{path}, {row}", "a keypoint is not a number", "correct or delete this annotation")
    return flat
