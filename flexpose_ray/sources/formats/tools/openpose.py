"""OpenPose: one ``*_keypoints.json`` for each frame."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import number, read_json

RIGHT_FIRST = [f"{side}_{part}" for side in ("right", "left") for part in ("shoulder", "elbow", "wrist")]
LEGS = [f"{side}_{part}" for side in ("right", "left") for part in ("hip", "knee", "ankle")]
EYES = ["right_eye", "left_eye", "right_ear", "left_ear"]
FEET = [f"{side}_{part}" for side in ("left", "right") for part in ("big_toe", "small_toe", "heel")]
# Joints by their count: BODY_25, COCO, MPI.
NAMES = {
    25: ["nose", "neck", *RIGHT_FIRST, "mid_hip", *LEGS, *EYES, *FEET],
    18: ["nose", "neck", *RIGHT_FIRST, *LEGS, *EYES],
    15: ["head", "neck", *RIGHT_FIRST, *LEGS, "chest"],
}
MAPS = {
    25: {"head": ("nose",), "neck": ("neck",), "pelvis": ("mid_hip",)},
    18: {"head": ("nose",), "neck": ("neck",), "pelvis": ("left_hip", "right_hip")},
    15: {"head": ("head",), "neck": ("neck",), "pelvis": ("left_hip", "right_hip")},
}
FRAME = re.compile(r"(.*?)_?\d*(_keypoints)?")


def openpose_files(folder: Path) -> list[Path]:
    """The .json of a folder and of the folders in it; those that end in ``_keypoints.json`` where there are such.

    Raises:
        DataError: there is none.
    """
    files = sorted(folder.rglob("*.json"))
    named = [file for file in files if file.name.endswith("_keypoints.json")]
    if not files:
        raise DataError(folder, "no *_keypoints.json there", "give the folder that OpenPose wrote to (--write_json)")
    return named or files


def read_openpose(file: Path, root: Path) -> RawPoses:
    """Read the people of one frame. Group is the video: the file's name without its number. (0, 0) is no joint.

    Raises:
        DataError: no list of people. A person of an unknown count of joints counts as unreadable.
    """
    found = read_json(file, "a file of OpenPose")
    people = found.get("people") if isinstance(found, dict) else None
    if not isinstance(people, list):
        raise DataError(file, 'no list "people" there', "give a file of OpenPose")
    name = str(file.relative_to(root).with_suffix(""))
    points, rows, bad = [], [], []
    for i, person in enumerate(people):
        try:
            points.append(_person(person))
            rows.append(f"{name} person {i}")
        except ValueError as e:
            bad.append((f"{name} person {i}", str(e)))
    counts = {len(p) for p in points}
    if len(counts) > 1:
        raise DataError(file, f"people of {' and '.join(map(str, sorted(counts)))} joints", "give one model's people")
    joints = counts.pop() if counts else 25
    points_NS3 = np.array(points, np.float64).reshape(len(points), joints, 3)
    joint_map = {joint: (joint,) for joint in RIGHT_FIRST + LEGS} | MAPS[joints]
    return RawPoses(
        points_NS2=points_NS3[..., :2],
        names=NAMES[joints],
        row_names=rows,
        joint_map=joint_map,
        group_N=np.full(len(points), FRAME.fullmatch(name)[1] or name),
        confidence_NS=points_NS3[..., 2],
        bad=tuple(bad),
    )


def _person(person: object) -> np.ndarray:
    """Joints (S, 3): x, y, confidence.

    Raises:
        ValueError: what is wrong.
    """
    flat = person.get("pose_keypoints_2d", person.get("pose_keypoints")) if isinstance(person, dict) else None
    if not isinstance(flat, list):
        raise ValueError("no pose_keypoints_2d")
    if len(flat) % 3 or len(flat) // 3 not in NAMES:
        raise ValueError(f"found {len(flat)} numbers, expected 75, 54 or 45")
    return np.array([number(value) for value in flat], np.float64).reshape(-1, 3)
