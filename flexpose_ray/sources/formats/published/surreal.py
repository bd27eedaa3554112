"""SURREAL: rendered people, one ``*_info.mat`` a clip.

The set's cameras mirror: what its names call left is on the right of the people in the pictures. It is put right here.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.joint_map import JointMap
from flexpose_ray.sources.raw import RawPoses

JOINTS = 24
PARTS = ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")
NAMED_LEFT, NAMED_RIGHT = (1, 4, 7, 16, 18, 20), (2, 5, 8, 17, 19, 21)
TO_15: JointMap = {"head": ("15",), "neck": ("12",), "pelvis": ("0",)}
TO_15 |= {f"left_{part}": (str(i),) for part, i in zip(PARTS, NAMED_RIGHT, strict=True)}
TO_15 |= {f"right_{part}": (str(i),) for part, i in zip(PARTS, NAMED_LEFT, strict=True)}
BAD_SHAPES = re.compile(r"(18|19)_\d+|143_21")  # sequences of misshapen people
SIZE = (320, 240)


def surreal_files(folder: Path) -> list[Path]:
    """All ``*_info.mat`` of a folder and of the folders in it.

    Raises:
        DataError: there is none.
    """
    if not (files := sorted(folder.rglob("*_info.mat"))):
        raise DataError(folder, "no *_info.mat there", "give the folder SURREAL/data/cmu/train, or one in it")
    return files


def read_surreal(file: Path, root: Path, every: str = "1") -> RawPoses:
    """Read the frames of a clip. Group is the sequence (clips of a sequence overlap), label is empty.

    Frames without a person and sequences of misshapen people are counted.

    Raises:
        ConfigError: ``every`` is no number.
        DataError: a damaged file, or other joints.
    """
    if not re.fullmatch(r"0*[1-9]\d{0,5}", every):
        raise ConfigError(file, f"every is {every!r}, expected a whole number", "write every=5")
    try:
        points = np.asarray(scipy.io.loadmat(file, variable_names=["joints2D"])["joints2D"], np.float64)
    except Exception as e:  # the parser lets errors of any type out of a damaged file
        problem = f"not readable as a clip: {' '.join(str(e).split())[:120]}"
        raise DataError(file, problem, "download it again") from e
    points = points[..., None] if points.shape == (2, JOINTS) else points  # a clip of one frame
    if points.ndim != 3 or points.shape[:2] != (2, JOINTS):
        raise DataError(file, f"joints2D is {points.shape}, expected (2, {JOINTS}, frames)", "download it again")
    points_FS2 = points.transpose(2, 1, 0)
    sequence = re.sub(r"_c\d+_info$", "", file.stem)
    rows_N = np.arange(0, len(points_FS2), int(every))
    passed = {}
    if BAD_SHAPES.fullmatch(sequence):
        passed, rows_N = {"of misshapen people": len(rows_N)}, rows_N[:0]
    person_N = ~((points_FS2[rows_N, :, 0] == points_FS2[rows_N, :1, 0]).all(1))
    if (~person_N).any():
        passed["without a person"] = int((~person_N).sum())
    rows_N = rows_N[person_N]
    return RawPoses(
        points_NS2=points_FS2[rows_N],
        names=[str(i) for i in range(JOINTS)],
        row_names=[f"{file.name} frame {i + 1}" for i in rows_N],
        joint_map=TO_15,
        group_N=np.full(len(rows_N), sequence),
        size_N2=np.tile(SIZE, (len(rows_N), 1)),
        marks_missing=False,
        passed=passed,
    )
