"""YOLO-pose: a text file for each picture, a person on each line, coordinates as shares of the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from flexpose_ray.errors import DataError
from flexpose_ray.sources.formats.coco import JOINTS as COCO
from flexpose_ray.sources.options import parse_size
from flexpose_ray.sources.raw import RawPoses, split_visibility
from flexpose_ray.sources.text import read_text

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
BOX = 5  # class, then middle and size of the box
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # of EXIF: pictures stored on their side
SKIPPED = ("classes.txt", "train.txt", "val.txt", "test.txt", "autosplit_train.txt", "autosplit_val.txt")


def yolo_files(folder: Path) -> list[Path]:
    """The .txt files of a folder and of the folders in it, without lists of pictures and of classes.

    Raises:
        DataError: there is none.
    """
    files = [p for p in folder.rglob("*.txt") if p.name not in SKIPPED and not p.name.lower().startswith("readme")]
    if not files:
        raise DataError(folder, "no .txt there", "give the set's folder, or its folder labels")
    return sorted(files)


def read_yolo(file: Path, root: Path, category: str = "", size: str = "") -> RawPoses:
    """Read the persons of one picture; it is their group. Joints are COCO's where there are 17, else numbered from 0.

    A joint has two or three numbers, as the set's ``data.yaml`` says (``kpt_shape``), else as their count allows. The
    picture's size is read from the picture, which lies beside the labels or in ``images`` where they are in ``labels``;
    ``size`` gives it where there are no pictures.

    Args:
        file: the label file.
        root: the folder that the source names.
        category: only persons of this class, by its number.
        size: ``WIDTHxHEIGHT`` of all pictures.

    Raises:
        ConfigError: ``size`` is no size.
        DataError: no picture and no ``size``. A line of another length, or without numbers, counts as unreadable.
    """
    name = str(file.relative_to(root).with_suffix(""))
    lines = [(i, line.split()) for i, line in enumerate(read_text(file).splitlines(), 1) if line.strip()]
    shape = _kpt_shape(file, root)
    points, thirds, rows, bad, passed = [], [], [], [], {}
    for i, fields in lines:
        row = f"{name} line {i}"
        try:
            values = [float(field) for field in fields]
        except ValueError as e:
            bad.append((row, f"not a number: {str(e)[:60]}"))
            continue
        if category and fields[0] != category:
            passed[f"of class {fields[0][:20]}"] = passed.get(f"of class {fields[0][:20]}", 0) + 1
            continue
        numbers = len(values) - BOX
        joints, axes = shape or _guessed(numbers)
        if numbers != joints * axes or not joints:
            expected = f"{BOX + joints * axes}" if shape else f"{BOX} and two or three a joint"
            bad.append((row, f"found {len(values)} numbers, expected {expected}"))
            continue
        points_SD = np.array(values[BOX:]).reshape(joints, axes)
        points.append(points_SD[:, :2])
        thirds.append(points_SD[:, 2] if axes == 3 else np.full(joints, 2.0))
        rows.append(row)
    counts = {len(p) for p in points}
    if len(counts) > 1:
        found = " and ".join(map(str, sorted(counts)))
        raise DataError(file, f"persons of {found} joints", "state kpt_shape in data.yaml")
    joints = counts.pop() if counts else len(COCO)
    picture = _picture(file)
    side_2 = _size(file, picture, size) if points else (1, 1)
    missing_NS, confidence_NS = split_visibility(np.array(thirds).reshape(len(points), joints))
    return RawPoses(
        points_NS2=np.array(points).reshape(len(points), joints, 2) * side_2,
        names=list(COCO) if joints == len(COCO) else [str(i) for i in range(joints)],
        row_names=rows,
        group_N=np.full(len(points), name),
        missing_NS=missing_NS,
        confidence_NS=confidence_NS,
        size_N2=np.tile(side_2, (len(points), 1)),
        picture_N=np.full(len(points), str(picture or "")),
        passed=passed,
        bad=tuple(bad),
    )


def _guessed(numbers: int) -> tuple[int, int]:
    """Joints and numbers a joint, of what is usual: 17 of COCO first, then three a joint, then two."""
    for joints, size in ((17, 3), (17, 2)):
        if numbers == joints * size:
            return joints, size
    return (numbers // 3, 3) if numbers > 0 and numbers % 3 == 0 else (numbers // 2, 2)


def _kpt_shape(file: Path, root: Path) -> tuple[int, int] | None:
    """What the set's ``data.yaml`` says of the joints: how many, and how many numbers each."""
    for folder in [root, *root.parents][:3]:
        for path in sorted(folder.glob("*.yaml")):
            try:
                found = yaml.safe_load(read_text(path))
                joints, size = found["kpt_shape"]
                if 0 < joints <= 1000 and size in (2, 3):
                    return int(joints), int(size)
            except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError, DataError):
                continue
    return None


def _picture(file: Path) -> Path | None:
    """The picture of a label file: beside it, or in ``images`` where that is in ``labels``."""
    folders = [file.parent]
    parts = file.parent.parts
    for i in reversed(range(len(parts))):
        if parts[i] == "labels":
            folders.append(Path(*parts[:i], "images", *parts[i + 1 :]))
            break
    return next((p for folder in folders for end in PICTURES if (p := folder / (file.stem + end)).is_file()), None)


def _size(file: Path, picture: Path | None, size: str) -> tuple[float, float]:
    """Width and height of a picture as its EXIF turns it, which is how the labels were made."""
    if size:
        return parse_size(size, str(file))
    if picture is None:
        hint = "put the pictures into images/ beside labels/, or give their size: size=640x480"
        raise DataError(file, "shares of a picture that is not there", hint)
    try:
        with Image.open(picture) as opened:
            width, height = opened.size
            turned = opened.getexif().get(ORIENTATION) in TURNED
    except Exception as e:  # a damaged picture lets errors of any type out
        raise DataError(picture, f"not a readable picture: {str(e)[:100]}", "give the size: size=640x480") from e
    return (float(height), float(width)) if turned else (float(width), float(height))
