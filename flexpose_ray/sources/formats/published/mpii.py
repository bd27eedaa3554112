"""MPII Human Pose: its own .mat, HRNet's JSON, or CSV, 16 joints in pixels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.sources.joint_map import IDENTITY_15
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import number, read_json, read_text, unpacked

JOINTS = [
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
]  # fmt: skip
TO_15 = IDENTITY_15 | {"head": ("head_top",), "neck": ("upper_neck",)}
CELLS = 1 + 2 * len(JOINTS)


def read_mpii(path: Path) -> Iterator[RawPoses]:
    """Read the persons of a file. Head is the top of the head, neck the upper neck. Group is the picture's name.

    * ``mpii_human_pose_v1_u12_1.mat``: persons with joints; label is the activity.
    * JSON of HRNet: a list of ``joints``, ``joints_vis`` and ``image``.
    * CSV without header, plain or gzipped: lines ``picture,x0,y0,...,x15,y15`` in the order of ``JOINTS``.

    Raises:
        DataError: a damaged file, or no person. A person that cannot be read counts as unreadable.
    """
    content = unpacked(path)
    if content[:6] == b"MATLAB":
        yield _published(path, content)
    elif content.lstrip()[:1] in (b"[", b"{"):
        yield _json(path)
    else:
        yield _csv(path)


def _csv(path: Path) -> RawPoses:
    pictures, points, rows, bad = [], [], [], []
    for line, cells in enumerate(csv.reader(io.StringIO(read_text(path))), 1):
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != CELLS:
            problem = f"found {len(cells)} cells, expected {CELLS}: the picture, x and y of {len(JOINTS)} joints"
            bad.append((f"line {line}", problem))
            continue
        try:
            points.append([float(cell) if cell.strip() else np.nan for cell in cells[1:]])
        except ValueError as e:
            bad.append((f"line {line}", f"not a number: {str(e)[:60]}; a file for mpii has no header"))
            continue
        pictures.append(cells[0])
        rows.append(f"line {line}")
    if not points and not bad:
        raise DataError(path, "no line there", "give the persons of MPII as CSV")
    return _raw(np.array(points).reshape(len(points), len(JOINTS), 2), rows, pictures, bad=bad)


def _json(path: Path) -> RawPoses:
    found = read_json(path, "HRNet's JSON of MPII")
    pictures, points, missing, rows, bad = [], [], [], [], []
    for i, person in enumerate(found if isinstance(found, list) else []):
        try:
            joints = [[number(x), number(y)] for x, y in person["joints"]]
            seen = [number(value) > 0 for value in person.get("joints_vis", [1] * len(JOINTS))]
            if len(joints) != len(JOINTS) or len(seen) != len(JOINTS):
                raise ValueError(f"{len(joints)} joints, expected {len(JOINTS)}")
            picture = str(person.get("image", f"person {i}"))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as e:
            bad.append((f"person {i}", f"no joints: {str(e)[:80]}"))
            continue
        points.append(joints)
        missing.append([not value for value in seen])
        pictures.append(picture)
        rows.append(f"person {i}")
    if not points and not bad:
        raise DataError(path, "no list of persons there", "give train.json or valid.json of HRNet")
    return _raw(np.array(points).reshape(len(points), len(JOINTS), 2), rows, pictures, np.array(missing), bad=bad)


def _published(path: Path, content: bytes) -> RawPoses:
    """The set's own file: pictures of persons of points, each with the number of its joint."""
    try:
        release = scipy.io.loadmat(io.BytesIO(content), struct_as_record=False, squeeze_me=True)["RELEASE"]
        pictures, points, labels, rows = [], [], [], []
        acts = np.atleast_1d(getattr(release, "act", []))
        for i, entry in enumerate(np.atleast_1d(release.annolist)):
            for k, person in enumerate(np.atleast_1d(getattr(entry, "annorect", []))):
                found = getattr(getattr(person, "annopoints", None), "point", None)
                if found is None or not np.size(found):
                    continue
                points.append(np.full((len(JOINTS), 2), np.nan))
                for point in np.atleast_1d(found):
                    points[-1][int(point.id)] = point.x, point.y
                pictures.append(str(entry.image.name))
                act = getattr(acts[i], "act_name", "") if i < len(acts) else ""
                labels.append(act if isinstance(act, str) else "")
                rows.append(f"picture {i + 1} person {k + 1}")
    except Exception as e:  # the parser lets errors of any type out of a damaged file
        problem = f"not readable as MPII's .mat: {' '.join(str(e).split())[:120]}"
        raise DataError(path, problem, "give mpii_human_pose_v1_u12_1.mat") from e
    return _raw(np.array(points).reshape(len(points), len(JOINTS), 2), rows, pictures, labels=labels)


def _raw(
    points_NS2: np.ndarray,
    rows: list[str],
    pictures: list[str],
    missing_NS: np.ndarray | None = None,
    labels: list[str] | None = None,
    bad: list[tuple[str, str]] | None = None,
) -> RawPoses:
    return RawPoses(
        points_NS2=points_NS2,
        names=JOINTS,
        row_names=rows,
        joint_map=TO_15,
        group_N=np.array(pictures, np.str_),
        label_N=np.array(labels, np.str_) if labels is not None else None,
        missing_NS=missing_NS.reshape(points_NS2.shape[:2]) if missing_NS is not None else None,
        picture_N=np.array(pictures, np.str_),
        bad=tuple(bad or ()),
    )
