"""Many pictures of one size, kept on disk and read row by row."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import numpy as np

BLOCK = 1000  # pictures that are moved at a time


class PictureRows:
    """Pictures in a file without a name, gone with the process: as many as the disk holds, and few in memory.

    Indexed along its first axis like an array of uint8 (N, 3, S, S); what an index gives is an array.

    Args:
        size: side of the pictures, pixels.
    """

    def __init__(self, size: int):
        self.size, self._count = size, 0
        self._file = tempfile.TemporaryFile(prefix="flexpose-pictures-")  # noqa: SIM115

    def append(self, pictures_N3SS: np.ndarray) -> None:
        """Add pictures, uint8 (N, 3, S, S)."""
        self._file.write(np.ascontiguousarray(pictures_N3SS, np.uint8).tobytes())
        self._file.flush()
        self._count += len(pictures_N3SS)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self._count, 3, self.size, self.size

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int | slice | np.ndarray) -> np.ndarray:
        rows_N = np.arange(self._count)[index]
        found_N3SS = np.empty((np.size(rows_N), *self.shape[1:]), np.uint8)
        if isinstance(index, slice) and len(rows_N) and rows_N[-1] - rows_N[0] == len(rows_N) - 1:
            self._read_into(found_N3SS, int(rows_N[0]))
        else:
            for place, row in enumerate(np.ravel(rows_N)):
                self._read_into(found_N3SS[place], int(row))
        return found_N3SS.reshape(np.shape(rows_N) + self.shape[1:])

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:]

    def blocks(self) -> Iterator[np.ndarray]:
        """All of them in order, :data:`BLOCK` at a time."""
        for start in range(0, self._count, BLOCK):
            yield self[start : start + BLOCK]

    def _read_into(self, pictures: np.ndarray, row: int) -> None:
        """Fill a contiguous array with what begins at ``row``."""
        view = memoryview(pictures).cast("B")
        at, done = row * 3 * self.size**2, 0
        while done < len(view):  # a call may give less than it was asked for
            done += os.preadv(self._file.fileno(), [view[done:]], at + done)
