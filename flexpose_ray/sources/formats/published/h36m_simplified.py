"""The simplified set of Human3.6M, single frames of 128 pixels: ``S1/Landmarks/SEQUENCE/FRAME.mat``.

Pictures lie beside in ``S1/WithBackground/SEQUENCE/FRAME.jpg``, masks in ``S1/BackgroudMask/SEQUENCE/FRAME.png``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import DataError

SIDE = 128  # pixels of the pictures
LANDMARKS, PICTURES = "Landmarks", "WithBackground"  # folders


def simplified_points(file: Path) -> np.ndarray:
    """The joints of a frame, (1, 32, 2) pixels; its file has them as shares of the picture.

    Raises:
        DataError: an unreadable file.
    """
    try:
        points = np.asarray(scipy.io.loadmat(file, variable_names=["keypoints_2d"])["keypoints_2d"], np.float64)
    except Exception as e:  # the parser lets errors of any type out of a damaged file
        raise DataError(file, f"not readable as a frame: {' '.join(str(e).split())[:120]}", "download it again") from e
    with np.errstate(over="ignore"):  # of a damaged file
        return (points.T if points.shape == (2, 32) else points)[None] * SIDE


def simplified_action(file: Path) -> str:
    """The action of a frame's sequence."""
    return re.sub(r"[ _-]*\d.*$", "", file.parent.name).title()


def simplified_picture(file: Path, root: Path) -> str:
    """Path of a frame's picture, within ``root``."""
    parts = [PICTURES if part == LANDMARKS else part for part in file.relative_to(root).parts]
    return str(Path(*parts).with_suffix(".jpg"))


def in_half(file: Path, half: str) -> bool:
    """Whether a frame is in that half, "first" or "second", of its sequence."""
    frames = _frames(file.parent)
    return (_number(file) >= frames[len(frames) // 2]) == (half == "second")


@lru_cache(maxsize=64)
def _frames(folder: Path) -> tuple[int, ...]:
    """Numbers of the frames of a sequence."""
    return tuple(sorted(_number(file) for file in folder.glob("*.mat")))


def _number(file: Path) -> int:
    return int(file.stem) if file.stem.isdecimal() else 0
