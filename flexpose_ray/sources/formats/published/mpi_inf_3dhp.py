"""MPI-INF-3DHP: annotations of the training subjects and of the test set, and mmpose's arrays of both."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.formats.hdf5 import open_hdf5
from flexpose_ray.sources.joint_map import JointMap
from flexpose_ray.sources.raw import RawPoses

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Joint of body_15 -> its number among the 28 of the training files and among the 17 of the test's.
OF_28 = {"head": 7, "neck": 5, "pelvis": 4}
OF_28 |= {f"left_{part}": i for part, i in zip(PARTS, (9, 10, 11, 18, 19, 20), strict=True)}
OF_28 |= {f"right_{part}": i for part, i in zip(PARTS, (14, 15, 16, 23, 24, 25), strict=True)}
OF_17 = {"head": 0, "neck": 1, "pelvis": 14}
OF_17 |= {f"left_{part}": i for part, i in zip(PARTS, (5, 6, 7, 11, 12, 13), strict=True)}
OF_17 |= {f"right_{part}": i for part, i in zip(PARTS, (2, 3, 4, 8, 9, 10), strict=True)}
MAPS: dict[int, JointMap] = {n: {j: (str(i),) for j, i in m.items()} for n, m in ((28, OF_28), (17, OF_17))}
VIEWS = "0,1,2,4,5,6,7,8"  # the others look down from the ceiling
SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}
SIZE = (2048, 2048)


def mpi_files(folder: Path) -> list[Path]:
    """``S*/Seq*/annot.mat``, ``TS*/annot_data.mat`` and mmpose's ``mpi_inf_3dhp_*.npz`` of a folder.

    Raises:
        DataError: there is none.
    """
    files = [p for name in ("annot.mat", "annot_data.mat", "mpi_inf_3dhp_*.npz") for p in folder.rglob(name)]
    if not files:
        raise DataError(folder, "no S1/Seq1/annot.mat or TS1/annot_data.mat there", "give the folder of the subjects")
    return sorted(files)


def read_mpi(file: Path, root: Path, subjects: str = "", views: str = VIEWS, every: str = "1") -> Iterator[RawPoses]:
    """Read 2D poses. Group is the subject; label the activity's number in the test set, empty in the training's.

    Args:
        file: see :func:`mpi_files`.
        root: the folder that the source names.
        subjects: only these, as in ``S1,S5`` or ``TS1``.
        views: cameras of the training set, by their number; by default those around people, not above them.
        every: one frame of so many.

    Raises:
        ConfigError: ``views`` or ``every`` are no numbers.
        DataError: a damaged file, other joints, or a missing package.
    """
    if not re.fullmatch(r"\d{1,2}(,\d{1,2})*", views) or not re.fullmatch(r"0*[1-9]\d{0,5}", every):
        raise ConfigError(file, f"views {views!r}, every {every!r}", "write views=0,1,2&every=5")
    step, wanted = int(every), {subject.strip() for subject in subjects.split(",") if subject.strip()}
    if file.suffix == ".npz":
        yield _mmpose(file, wanted, step)
        return
    subject = next((part for part in reversed(file.parts) if re.fullmatch(r"T?S\d{1,2}", part)), "S?")
    if wanted and subject not in wanted:
        return
    if file.name == "annot_data.mat":
        yield _test(file, subject, step)
        return
    for view, points_FS2 in _training(file, [int(view) for view in views.split(",")]):
        points_FS2 = points_FS2[::step]
        name = f"{subject} {file.parent.name} view {view}"
        yield RawPoses(
            points_NS2=points_FS2,
            names=[str(i) for i in range(28)],
            row_names=[f"{name} frame {i * step}" for i in range(len(points_FS2))],
            joint_map=MAPS[28],
            group_N=np.full(len(points_FS2), subject),
            size_N2=np.tile(SIZE, (len(points_FS2), 1)),
        )


def _training(file: Path, views: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    """(view, joints (F, 28, 2)) of a training file."""
    try:
        cells = scipy.io.loadmat(file, variable_names=["annot2"])["annot2"]
        found = {view: np.asarray(cells[view, 0], np.float64) for view in views if view < len(cells)}
    except Exception as e:  # the parser lets errors of any type out of a damaged file
        problem = f"not readable as annot.mat: {' '.join(str(e).split())[:120]}"
        raise DataError(file, problem, "download it again") from e
    for view, flat_FD in found.items():
        if flat_FD.ndim != 2 or flat_FD.shape[1] != 56:
            problem = f"annot2 of view {view} is {flat_FD.shape}, expected (frames, 56)"
            raise DataError(file, problem, "download it again")
        yield view, flat_FD.reshape(-1, 28, 2)


def _test(file: Path, subject: str, step: int) -> RawPoses:
    """The valid frames of a test subject; the file is HDF5."""
    with open_hdf5(file, "annot_data.mat", "download it again") as found:
        points = np.asarray(found["annot2"], np.float64)
        valid = np.ravel(found["valid_frame"]) != 0
        activity = np.ravel(found.get("activity_annotation", np.zeros(len(valid))))
        points_FS2 = points.reshape(len(points), 17, 2)
        rows_N = np.flatnonzero(valid[: len(points_FS2)])[::step]
        label_N = np.array([f"activity {int(number)}" for number in activity[rows_N]], np.str_)
    return RawPoses(
        points_NS2=points_FS2[rows_N],
        names=[str(i) for i in range(17)],
        row_names=[f"{subject} frame {i + 1}" for i in rows_N],
        joint_map=MAPS[17],
        group_N=np.full(len(rows_N), subject),
        label_N=label_N,
        size_N2=np.tile(SIZES.get(subject, SIZE), (len(rows_N), 1)),
        passed={"not valid frames": n} if (n := int((~valid).sum())) else {},
    )


def _mmpose(file: Path, wanted: set[str], step: int) -> RawPoses:
    """Rows of mmpose's arrays: ``imgname``, ``part`` (N, 17, 3) in pixels with visibility."""
    try:
        with np.load(file, allow_pickle=False) as found:
            names, part = found["imgname"].astype(str), np.asarray(found["part"], np.float64)
        part = part.reshape(len(names), 17, 3)
    except Exception as e:  # a damaged file lets errors of any type out
        raise DataError(file, f"no imgname and part there: {str(e)[:120]}", "give an array file of mmpose") from e
    subject_N = np.array([name.partition("_")[0] for name in names], np.str_)
    keep_N = np.array([not wanted or subject in wanted for subject in subject_N], bool)
    rows_N = np.flatnonzero(keep_N)[::step]
    return RawPoses(
        points_NS2=part[rows_N, :, :2],
        names=[str(i) for i in range(17)],
        row_names=[names[i] for i in rows_N],
        joint_map=MAPS[17],
        group_N=subject_N[rows_N],
        missing_NS=part[rows_N, :, 2] <= 0,
        picture_N=names[rows_N],
    )
