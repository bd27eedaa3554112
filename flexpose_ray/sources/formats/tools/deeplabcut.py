"""DeepLabCut's HDF5 files, as pandas writes them; its tables (.csv) are read as tables are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.foreign_pickle import plain
from flexpose_ray.sources.formats.hdf5 import open_hdf5
from flexpose_ray.sources.raw import RawPoses

COORDINATES = ("x", "y", "likelihood")
Column = tuple[str, ...]  # scorer, animal where there are several, body part, coordinate


def read_deeplabcut(file: Path) -> Iterator[RawPoses]:
    """Read the frames of a file. Of several animals each is a pose of its own; group is the animal, or empty of one.

    A likelihood is a confidence; body parts without numbers are missing.

    Raises:
        DataError: a missing package, a damaged file, or one of another kind.
    """
    with open_hdf5(file, "DeepLabCut's", "give its .h5, or the .csv beside it as table:FILE") as found:
        columns, values_FC = _table(found) or _fixed(found)
    if len(columns) != values_FC.shape[1] or not all(len(c) in (3, 4) and c[-1] in COORDINATES for c in columns):
        raise DataError(file, f"columns {str(columns[:2])[:80]}", "give an .h5 of DeepLabCut")
    at = {(column[1] if len(column) == 4 else "", *column[-2:]): i for i, column in enumerate(columns)}
    for animal in dict.fromkeys(animal for animal, _, _ in at):
        parts = list(dict.fromkeys(part for who, part, _ in at if who == animal))
        if not all((animal, part, axis) in at for part in parts for axis in "xy"):
            raise DataError(file, f"a body part of {animal or 'the animal'} lacks x or y", "give an .h5 of DeepLabCut")
        points_FS2 = np.stack([values_FC[:, [at[animal, part, "x"], at[animal, part, "y"]]] for part in parts], 1)
        sure = [at.get((animal, part, "likelihood")) for part in parts]
        confidence_FS = values_FC[:, sure] if None not in sure else None
        rows_N = np.flatnonzero(np.isfinite(points_FS2).any((1, 2)))
        yield RawPoses(
            points_NS2=points_FS2[rows_N],
            names=parts,
            row_names=[f"{animal} frame {i}".strip() for i in rows_N],
            group_N=np.full(len(rows_N), animal),
            confidence_NS=None if confidence_FS is None else confidence_FS[rows_N],
        )


def _table(found) -> tuple[list[Column], np.ndarray] | None:
    """Columns and values (F, C) of pandas' format "table"; None where there is none."""
    for group in found.values():
        table = group.get("table") if hasattr(group, "get") else None
        if table is not None and "values_block_0" in (table.dtype.names or ()):
            columns = plain(bytes(table.attrs["values_block_0_kind"]))
            return [tuple(map(str, column)) for column in columns], np.asarray(table["values_block_0"], np.float64)
    return None


def _fixed(found) -> tuple[list[Column], np.ndarray]:
    """The same of pandas' format "fixed": values, and for each level of the columns its names and their places."""
    group = next(group for group in found.values() if "block0_values" in group)
    names = []
    for level in range(4):
        if f"block0_items_level{level}" in group:
            words = [word.decode("utf-8", "replace") for word in group[f"block0_items_level{level}"][:]]
            names.append([words[i] for i in group[f"block0_items_label{level}"][:]])
    return list(zip(*names, strict=True)), np.asarray(group["block0_values"], np.float64)
