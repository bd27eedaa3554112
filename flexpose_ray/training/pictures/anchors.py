"""A few pictures whose poses are known, which tell a detector on which side the left of people mostly is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import DataError


@dataclass(frozen=True, eq=False)
class Anchors:
    """Annotated pictures to learn from beside many that nobody annotated.

    Attributes:
        pictures_N3SS: uint8, as of the detector's other pictures: black around the subject where those are.
        poses_NJ2: float32, crop units; row by row.

    Raises:
        DataError: none at all, or another number of poses.
    """

    pictures_N3SS: np.ndarray
    poses_NJ2: np.ndarray

    def __post_init__(self):
        if not len(self.pictures_N3SS):
            raise DataError("annotated pictures", "there are none", "give a dozen, or leave them out")
        if len(self.pictures_N3SS) != len(self.poses_NJ2):
            problem = f"{len(self.poses_NJ2)} poses of {len(self.pictures_N3SS)} pictures"
            raise DataError("annotated pictures", problem, "give one pose for every picture")
