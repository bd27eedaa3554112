"""Penn Action: one MATLAB file for each video, 13 joints in each frame, 15 actions."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.sources.joint_map import LIMBS_TO_15
from flexpose_ray.sources.raw import RawPoses

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# The set's page says left before right. The pictures say otherwise: people seen from the front have the first shoulder
# on the picture's left in every video, people seen from behind on its right.
JOINTS = ["head"] + [f"{side}_{part}" for part in PARTS for side in ("right", "left")]
CORNER = 2.0  # a missing joint is marked (1, 1), in most videos rescaled with the picture: (0.67, 0.67), (1.5, 1.5)


def penn_files(folder: Path) -> list[Path]:
    """The ``NNNN.mat`` of a folder or of its folder ``labels``.

    Raises:
        DataError: there is none.
    """
    files = sorted((folder / "labels" if (folder / "labels").is_dir() else folder).glob("*.mat"))
    if not files:
        raise DataError(folder, "no NNNN.mat files there", "give the set's folder `labels` or a .tar of it")
    return files


def read_penn(file: Path, root: Path) -> Iterator[RawPoses]:
    """Read all frames of a video, or of a .tar of videos; a joint in the picture's corner is a missing one.

    Group is the video's number, label its action.

    Raises:
        DataError: no videos there, a damaged file, or a wrong number of joints.
    """
    if file.suffix == ".mat":
        yield _video(file.name, file.read_bytes(), f"{file}")
        return
    empty = True
    try:  # a .tar is read in place and nothing is unpacked
        with tarfile.open(file) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and m.name.endswith(".mat")]
            for member in sorted(members, key=lambda m: m.name):
                empty = False
                yield _video(member.name, archive.extractfile(member).read(), f"{file}, {member.name}")
    except (tarfile.TarError, EOFError, OSError) as e:
        raise DataError(file, f"not a readable .tar: {e}", "give the folder `labels` or a .tar of it") from e
    if empty:
        raise DataError(file, "no NNNN.mat files there", "give the set's folder `labels` or a .tar of it")


def _video(name: str, content: bytes, where: str) -> RawPoses:
    """The frames of one video."""
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
    if x_FS.dtype.kind not in "iuf" or y_FS.dtype.kind not in "iuf":
        raise DataError(where, "x and y are no numbers", "give the original label files of Penn Action")
    points_FS2 = np.stack([x_FS, y_FS], 2).astype(np.float64)
    frames, action = len(points_FS2), np.ravel(found["action"])
    return RawPoses(
        points_NS2=points_FS2,
        names=JOINTS,
        row_names=[f"{name} frame {i + 1}" for i in range(frames)],
        joint_map=LIMBS_TO_15,
        group_N=np.full(frames, Path(name).stem),
        label_N=np.full(frames, str(action[0]) if len(action) else ""),
        missing_NS=(points_FS2 < CORNER).all(2),
    )
