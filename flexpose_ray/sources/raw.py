"""What a reader returns: joints as their file has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flexpose_ray.sources.joint_map import JointMap

MIN_PIXELS = 8.0  # longer side of a person; joints of a smaller one are rounded to an eighth of the body or worse


@dataclass(frozen=True, eq=False)
class RawPoses:
    """Poses as their file has them: nothing is mapped, dropped or cropped yet.

    Attributes:
        points_NS2: the source's S joints in pixels (or any unit), NaN or anything else where a joint is missing.
        names: the names of the S joints.
        row_names: where each pose stands in the file, for errors.
        joint_map: how these joints form a skeleton's, where the format fixes that. None: the joints must be known
            ones, unless the user gives a mapping.
        group_N: see PoseSet; None: every pose is its own group, named by its number from 0.
        label_N: see PoseSet; None: no pose has a label.
        missing_NS: True where a joint is not labelled; None: all joints with two numbers are.
        confidence_NS: 0 to 1; a joint under the source's threshold counts as missing. None: the format has none.
        size_N2: width and height in pixels of the pictures; 0 where unknown. None: unknown.
        picture_N: paths of the pictures, "" where there is none; None: the format names none.
        min_extent: a pose whose longer side is shorter is dropped as too small.
        marks_missing: whether joints at (0, 0) or (-1, -1) are missing ones.
        passed: reason -> what the reader itself left out: other categories, crowds, repetitions.
        seen: what the reader saw of the poses -> how many times, of how many.
        bad: (where, problem) of rows that cannot be read.
        notes: what else people should know.
    """

    points_NS2: np.ndarray
    names: Sequence[str]
    row_names: Sequence[str]
    joint_map: JointMap | None = None
    group_N: np.ndarray | None = None
    label_N: np.ndarray | None = None
    missing_NS: np.ndarray | None = None
    confidence_NS: np.ndarray | None = None
    size_N2: np.ndarray | None = None
    picture_N: np.ndarray | None = None
    min_extent: float = MIN_PIXELS
    marks_missing: bool = True
    passed: dict[str, int] = field(default_factory=dict)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    bad: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def split_visibility(third_NS: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """What a joint's third number says, in missing_NS and confidence_NS.

    Whole numbers 0, 1, 2 are COCO's visibility: 0 is missing. Numbers between 0 and 1 are confidences.
    """
    third_NS = np.asarray(third_NS, np.float64)
    known_NS = np.isfinite(third_NS)
    if np.isin(third_NS[known_NS], (0, 1, 2)).all():
        return known_NS & (third_NS <= 0), None
    return known_NS & (third_NS <= 0), third_NS
