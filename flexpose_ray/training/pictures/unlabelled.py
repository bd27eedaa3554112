"""Pictures without annotations, and which of them show the same person in the same place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flexpose_ray.errors import DataError


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Pictures to learn from.

    Attributes:
        pictures_N3SS: uint8, an array or rows on disk; where masks are used, black around the subject.
        clip_N: str; pictures of one clip show the same person in the same place.
    """

    pictures_N3SS: np.ndarray
    clip_N: np.ndarray

    def __post_init__(self):
        if len(self.pictures_N3SS) < 2:
            raise DataError("pictures", f"{len(self.pictures_N3SS)} to learn from", "give at least two")

    def companions(self, rows_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For each picture another one of its clip; itself where it is alone there."""
        by_clip, place_N, start_N, count_N = self._order
        count_M = count_N[rows_N]
        step_M = rng.integers(0, np.maximum(count_M - 1, 1)) + (count_M > 1)
        return by_clip[start_N[rows_N] + (place_N[rows_N] - start_N[rows_N] + step_M) % count_M]

    @property
    def alone(self) -> int:
        """How many pictures have no other one of their clip."""
        return int((self._order[3] == 1).sum())

    @cached_property
    def _order(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Pictures ordered by clip; for each its place in that order, where its clip starts, and how many that has."""
        by_clip = np.argsort(self.clip_N, kind="stable")
        _, clip_of_N, count_C = np.unique(self.clip_N, return_inverse=True, return_counts=True)
        first_C = np.cumsum(count_C) - count_C
        return by_clip, np.argsort(by_clip), first_C[clip_of_N], count_C[clip_of_N]
