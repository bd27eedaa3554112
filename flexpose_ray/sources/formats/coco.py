"""COCO keypoint JSON, plain or gzipped, and the lists of results that pose estimators write in its likeness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.formats.published.wflw import WFLW_TO_68
from flexpose_ray.sources.joint_map import JointMap
from flexpose_ray.sources.known import known_map
from flexpose_ray.sources.raw import RawPoses, split_visibility
from flexpose_ray.sources.text import number, read_json

PARTS = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
JOINTS = ["nose"] + [f"{side}_{part}" for part in PARTS for side in ("left", "right")]
WHAT = "a COCO keypoint file (person_keypoints_*.json) or a list of results"


@dataclass
class _Rows:
    """The annotations of one category, or of one count of joints where a file names no categories."""

    names: list[str]
    joint_map: JointMap | None
    points: list[np.ndarray] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    images: list[object] = field(default_factory=list)


def read_coco(file: Path, category: str = "") -> Iterator[RawPoses]:
    """Read the persons of a COCO keypoint file, or of a list of results.

    Joints are named by each annotation's own category; a category without names has COCO's for 17 joints, and landmarks
    by their number for 68 or 98 (the last mapped to 68). A third number is the visibility, where all are 0, 1 or 2,
    else the confidence. Group is the image id, label empty.

    Left out and counted: other categories than ``category``, crowds, annotations without keypoints, and repetitions of
    one annotation.

    Args:
        category: name or id of the only one that is read.

    Raises:
        ConfigError: a category that is not there.
        DataError: broken JSON, no keypoints, or names that no joint can be told by.
    """
    found = read_json(file, WHAT)
    annotations, images, categories = _sections(file, found)
    wanted = _wanted(file, categories, category)
    passed, bad, groups = Counter(), [], {}
    seen: set[object] = set()
    only = next(iter(categories)) if len(categories) == 1 else None
    for i, annotation in enumerate(annotations):
        if not isinstance(annotation, dict):
            bad.append((f"annotation at {i}", f"{type(annotation).__name__}, expected an object"))
            continue
        row = f"annotation {annotation.get('id', i)}"[:60]
        kind = _plain_id(annotation.get("category_id", only))
        if wanted is not None and kind not in wanted:
            passed[f"of category {_name(categories.get(kind), kind)}"] += 1
        elif annotation.get("iscrowd") in (1, True):
            passed["crowds"] += 1
        elif not _filled(annotation):
            passed["without keypoints"] += 1
        else:
            try:
                points_S3 = _points(annotation, _joint_count(categories.get(kind)))
            except ValueError as e:
                bad.append((row, str(e)))
                continue
            same = (_plain_id(annotation.get("image_id", row)), points_S3.tobytes())
            if same in seen and points_S3.any():
                passed["repeated"] += 1
                continue
            seen.add(same)
            key = (kind, len(points_S3)) if kind in categories else (None, len(points_S3))
            if key not in groups:
                groups[key] = _Rows(*_names(categories.get(kind), len(points_S3)))
            groups[key].points.append(points_S3)
            groups[key].rows.append(row)
            groups[key].images.append(annotation.get("image_id", row))
    yield from _parts(file, groups, images, passed, bad, len(annotations))


def _sections(file: Path, found: object) -> tuple[list, dict, dict]:
    """Annotations, images by id and categories by id of a file in any of its forms."""
    if isinstance(found, dict) and isinstance(found.get("instance_info"), list):  # mmpose's predictions
        frames = [frame for frame in found["instance_info"] if isinstance(frame, dict)]
        persons = [
            {"image_id": frame.get("frame_id", i), **person}
            for i, frame in enumerate(frames)
            for person in frame.get("instances") or []
            if isinstance(person, dict)
        ]
        return persons, {}, {}
    if isinstance(found, list):
        return found, {}, {}
    annotations = found.get("annotations") if isinstance(found, dict) else None
    if isinstance(annotations, dict):  # by id
        annotations = list(annotations.values())
    if not isinstance(annotations, list):
        raise DataError(file, 'no list "annotations" there', f"give {WHAT}")

    def by_id(name: str) -> dict:
        rows = found.get(name)
        rows = rows if isinstance(rows, list) else []
        return {_plain_id(row.get("id")): row for row in rows if isinstance(row, dict)}

    return annotations, by_id("images"), by_id("categories")


def _plain_id(value: object) -> object:
    """An id that can be a key: numbers and text as they are, anything else as text."""
    return value if isinstance(value, int | float | str) or value is None else str(value)


def _wanted(file: Path, categories: dict, category: str) -> set | None:
    """The ids of the category that is asked for; None: all."""
    if not category:
        return None
    ids = {i for i, row in categories.items() if category in (str(i), str(row.get("name")))}
    if not ids:
        known = ", ".join(_name(row, i) for i, row in categories.items()) or "none"
        raise ConfigError(file, f"no category {category!r} there", f"the file's categories are {known}")
    return ids


def _name(row: dict | None, category: object) -> str:
    return str((row or {}).get("name", category))[:60]


def _filled(annotation: dict) -> bool:
    keypoints = annotation.get("keypoints")
    return isinstance(keypoints, list | dict) and len(keypoints) > 0


def _joint_count(category: dict | None) -> int | None:
    names = (category or {}).get("keypoints")
    return len(names) if isinstance(names, list | dict) and names else None


def _points(annotation: dict, joints: int | None) -> np.ndarray:
    """Joints (S, 3): x, y and the third number, 2 where there is none.

    Raises:
        ValueError: what is wrong with them.
    """
    found = annotation["keypoints"]
    if isinstance(found, dict):
        raise ValueError("keypoints by name, expected a list of numbers")
    if isinstance(found[0], list):  # a list for each joint
        scores = annotation.get("keypoint_scores")
        size = len(found[0])
        if size not in (2, 3) or not all(isinstance(joint, list) and len(joint) == size for joint in found):
            raise ValueError("joints of other than two or three numbers")
        points_SD = _numbers([value for joint in found for value in joint]).reshape(len(found), size)
        if size == 2 and isinstance(scores, list) and len(scores) == len(found):
            return np.column_stack([points_SD, _numbers(scores).clip(0, 1) * (1 - 1e-9)])
    else:
        numbers = _numbers(found)
        size = 2 if joints and len(numbers) == 2 * joints else 3
        if len(numbers) % size or (joints and len(numbers) != size * joints):
            wanted = f"expected {3 * joints} (x, y, v of {joints} joints)" if joints else "expected three a joint"
            raise ValueError(f"found {len(numbers)} keypoint numbers, {wanted}")
        points_SD = numbers.reshape(-1, size)
    if points_SD.shape[1] == 3:
        return points_SD
    return np.column_stack([points_SD, np.full(len(points_SD), 2.0)])


def _numbers(values: list) -> np.ndarray:
    try:
        found = np.array([float(v) if type(v) in (int, float) else number(v) for v in values], np.float64)
    except (ValueError, OverflowError) as e:
        raise ValueError(f"a keypoint is not a number: {str(e)[:80]}") from e
    if np.isinf(found).any():
        raise ValueError("a keypoint is infinite, or a number of very many digits")
    return found


def _names(category: dict | None, joints: int) -> tuple[list[str], JointMap | None]:
    """The joints' names and, where they have none, what their count says of them."""
    names = (category or {}).get("keypoints")
    if isinstance(names, dict):  # number -> name, or name -> number
        names = [name if isinstance(name, str) else key for key, name in names.items()]
    if isinstance(names, list) and len(names) == joints:
        return [str(name) for name in names], None
    numbered = [str(i) for i in range(joints)]
    if joints in (26, 133, 136):  # Halpe and whole bodies begin with COCO's
        return JOINTS + numbered[17:], known_map(JOINTS)
    if joints == 17:
        return list(JOINTS), None
    return numbered, WFLW_TO_68 if joints == 98 else None


def _parts(
    file: Path, groups: dict[tuple, _Rows], images: dict, passed: Counter, bad: list, total: int
) -> Iterator[RawPoses]:
    """One part a category; the first carries what was left out."""
    if not groups and not bad:
        counts = ", ".join(f"{count} {reason}" for reason, count in passed.items()) or "it is empty"
        raise DataError(file, f"none of {total} annotations can be used: {counts}", f"give {WHAT}")
    for i, rows in enumerate(groups.values()):
        points_NS3 = np.stack(rows.points)
        missing_NS, confidence_NS = split_visibility(points_NS3[..., 2])
        found = [images.get(_plain_id(image)) or {} for image in rows.images]
        yield RawPoses(
            points_NS2=points_NS3[..., :2],
            names=rows.names,
            row_names=rows.rows,
            joint_map=rows.joint_map,
            group_N=np.array([str(image)[:200] for image in rows.images]),
            missing_NS=missing_NS,
            confidence_NS=confidence_NS,
            size_N2=np.array([[_side(image, "width"), _side(image, "height")] for image in found]),
            picture_N=np.array([str(image.get("file_name", "")) for image in found]),
            passed=dict(passed) if not i else {},
            bad=tuple(bad) if not i else (),
        )
    if not groups:
        yield RawPoses(np.zeros((0, 15, 2)), [str(i) for i in range(15)], [], bad=tuple(bad), passed=dict(passed))


def _side(image: dict, name: str) -> float:
    value = image.get(name)
    return float(value) if type(value) in (int, float) and 0 < value < 1e6 else 0.0
