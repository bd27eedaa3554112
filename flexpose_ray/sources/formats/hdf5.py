"""HDF5 files of others, damaged ones too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexpose_ray.errors import DataError


@contextmanager
def open_hdf5(file: Path, kind: str, way_out: str) -> Iterator:
    """The opened file (``h5py.File``); whatever goes wrong within the block is the file's fault.

    Args:
        file: its path.
        kind: what it should be, for the error: "not readable as KIND".
        way_out: what to do about a damaged one.

    Raises:
        DataError: the package h5py is missing, or the file is damaged or of another kind.
    """
    try:
        import h5py
    except ImportError as e:
        raise DataError(file, f"{file.suffix} needs the package h5py", "pip install flexpose-ray[sets]") from e
    try:
        with h5py.File(file) as found:
            yield found
    except Exception as e:  # a damaged file lets errors of any type out
        raise DataError(file, f"not readable as {kind}: {' '.join(str(e).split())[:120]}", way_out) from e
