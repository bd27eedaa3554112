"""SLEAP's analysis files (HDF5): tracks of animals; its tables are read as tables are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.formats.hdf5 import open_hdf5
from flexpose_ray.sources.raw import RawPoses

EXPORT = "export it from SLEAP as analysis HDF5"


def read_sleap(file: Path) -> Iterator[RawPoses]:
    """Read the tracks of a file: arrays ``tracks`` (tracks, 2, nodes, frames) and ``node_names``.

    Group is the track, label is empty; nodes without numbers are missing.

    Raises:
        DataError: a missing package, a damaged file, or no tracks.
    """
    with open_hdf5(file, "an analysis file", EXPORT) as found:
        tracks = np.asarray(found["tracks"], np.float64)
        nodes = [_text(name) for name in np.ravel(found["node_names"])]
        names = [_text(name) for name in np.ravel(found["track_names"])] if "track_names" in found else []
    if tracks.ndim != 4 or tracks.shape[1] != 2 or tracks.shape[2] != len(nodes):
        problem = f"tracks are {tracks.shape}, expected (tracks, 2, {len(nodes)} nodes, frames)"
        raise DataError(file, problem, EXPORT)
    for k, track in enumerate(tracks):
        name = names[k] if k < len(names) else f"track {k}"
        points_FS2 = track.transpose(2, 1, 0)
        rows_N = np.flatnonzero(np.isfinite(points_FS2).any((1, 2)))
        yield RawPoses(
            points_NS2=points_FS2[rows_N],
            names=nodes,
            row_names=[f"{name} frame {i}" for i in rows_N],
            group_N=np.full(len(rows_N), name),
        )


def _text(name: object) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
