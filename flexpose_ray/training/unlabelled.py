"""Pictures without annotations, and which of them show the same person in the same place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import DataError


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Pictures to learn from.

    Attributes:
        pictures_N3SS: uint8; where masks are used, black around the subject.
        clip_N: str; pictures of one clip show the same person in the same place.
    """

    pictures_N3SS: np.ndarray
    clip_N: np.ndarray

    def __post_init__(self):
        if len(self.pictures_N3SS) < 2:
            raise DataError("pictures", f"{len(self.pictures_N3SS)} to learn from", "give at least two")

    def companions(self, rows_N: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """For each picture another one of its clip; itself where it is alone there."""
        order, start_N, count_N = self._clips
        shift_N = rng.integers(0, np.maximum(count_N[rows_N] - 1, 1)) + (count_N[rows_N] > 1)
        place_N = np.argsort(order)[rows_N] - start_N[rows_N]
        return order[start_N[rows_N] + (place_N + shift_N) % count_N[rows_N]]

    @property
    def _clips(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pictures ordered by clip, and for each picture where its clip starts in that order and how many it has."""
        order = np.argsort(self.clip_N, kind="stable")
        _, first_C, of_N, count_C = np.unique(
            self.clip_N[order], return_index=True, return_inverse=True, return_counts=True
        )
        back = np.argsort(order)
        return order, first_C[of_N][back], count_C[of_N][back]
