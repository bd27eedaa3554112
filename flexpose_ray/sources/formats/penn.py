"""Penn Action: one MATLAB file for each video, 13 joints in each frame, 15 actions."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.sources.raw import LIMBS_TO_15, RawPoses

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# The set's page says left before right. The pictures say otherwise: people seen from the front have the first shoulder
# on the picture's left in every video, people seen from behind on its right.
JOINTS = ["head"] + [f"{side}_{part}" for part in PARTS for side in ("right", "left")]
CORNER = 2.0  # a missing joint is marked (1, 1), in most videos rescaled with the picture: (0.67, 0.67), (1.5, 1.5)


def read_penn(path: Path) -> RawPoses:
    """Read all frames; a joint in the picture's corner is a missing one.

    Group is the video's number, label its action.

    Args:
        path: folder of ``NNNN.mat``, folder that holds such a folder ``labels``, or a .tar of either.

    Raises:
        DataError: no such files there, a damaged file, or a wrong number of joints.
    """
    points, groups, labels, row_names = [], [], [], []
    for name, content in _files(path):
        points_FS2, action = _video(content, f"{path}, {name}")
        video = Path(name).stem
        points.append(points_FS2)
        groups += [video] * len(points_FS2)
        labels += [action] * len(points_FS2)
        row_names += [f"{name} frame {i + 1}" for i in range(len(points_FS2))]
    if not points:
        raise DataError(path, "no NNNN.mat files there", "give the set's folder `labels` or a .tar of it")
    points_NS2 = np.concatenate(points)
    return RawPoses(
        points_NS2=points_NS2,
        names=JOINTS,
        row_names=row_names,
        joint_map=LIMBS_TO_15,
        group_N=np.array(groups),
        label_N=np.array(labels),
        missing_NS=(points_NS2 < CORNER).all(2),
    )


def _files(path: Path) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every .mat file, in order of name; a .tar is read in place and nothing is unpacked."""
    if path.is_dir():
        folder = path / "labels" if (path / "labels").is_dir() else path
        for file in sorted(folder.glob("*.mat")):
            yield file.name, file.read_bytes()
        return
    try:
        with tarfile.open(path) as archive:
            files = [m for m in archive.getmembers() if m.isfile() and m.name.endswith(".mat")]
            for member in sorted(files, key=lambda m: m.name):
                yield member.name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError) as e:
        raise DataError(path, f"not a readable .tar: {e}", "give the folder `labels` or a .tar of it") from e


def _video(content: bytes, where: str) -> tuple[np.ndarray, str]:
    """Joints (F, 13, 2) in pixels and the action of one video."""
    try:
        found = scipy.io.loadmat(io.BytesIO(content), variable_names=["x", "y", "action"])
    except Exception as e:  # the parser lets errors of any type out of a damaged file
        raise DataError(where, f"not a readable MATLAB file: {e}", "download it again") from e
    if not {"x", "y", "action"} <= set(found):
        raise DataError(where, "x, y or action is missing", "give the original label files of Penn Action")
    x_FS, y_FS = found["x"], found["y"]
    if x_FS.ndim != 2 or x_FS.shape != y_FS.shape or x_FS.shape[1] != len(JOINTS):
        problem = f"x is {x_FS.shape} and y {y_FS.shape}, expected (frames, {len(JOINTS)})"
        raise DataError(where, problem, "give the original label files of Penn Action")
    return np.stack([x_FS, y_FS], 2).astype(np.float64), str(np.ravel(found["action"])[0])
