"""The user's own poses as .npz, .csv or .parquet, with any names of joints."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from flexpose_ray.errors import DataError
from flexpose_ray.sources.raw import RawPoses

NO_EXTENT = 1e-9  # a table may be in any unit, so only poses without any extent are too small
SUFFIXES = (".npz", ".csv", ".parquet")


def read_table(path: Path) -> RawPoses:
    """Read poses from a table.

    * ``.npz``: ``keypoints`` [N, J, 2]; optional ``joints`` [J] (names), ``group`` [N], ``label`` [N].
    * ``.csv``, ``.parquet``: columns ``JOINT_x``, ``JOINT_y`` for every joint; optional ``group``, ``label``.

    Joints of an .npz without ``joints`` are named by their index: a mapping can use it, and without a mapping they are
    a skeleton's in its order. Without groups every pose is its own group.

    Raises:
        DataError: unreadable file, no joints, or a cell that is no number.
    """
    if path.suffix not in SUFFIXES:
        raise DataError(path, f"a table ends in {', '.join(SUFFIXES)}", "convert it to one of these")
    names, points_NS2, columns = _read_npz(path) if path.suffix == ".npz" else _read_columns(path)
    count = len(points_NS2)
    for column, values in columns.items():
        if values.shape != (count,):
            raise DataError(path, f"{column} has shape {values.shape} for {count} poses", "give one value a pose")
    return RawPoses(
        points_NS2=points_NS2,
        names=names,
        row_names=[f"line {i + 2}" if path.suffix == ".csv" else f"row {i}" for i in range(count)],
        group_N=_text(columns, "group"),
        label_N=_text(columns, "label"),
        min_extent=NO_EXTENT,
    )


def _text(columns: dict[str, np.ndarray], name: str) -> np.ndarray | None:
    return columns[name].astype(str) if name in columns else None


def _read_npz(path: Path) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    try:
        with np.load(path, allow_pickle=False) as found:
            arrays = {key: found[key] for key in ("keypoints", "joints", "group", "label") if key in found}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as e:  # TypeError: a bare .npy
        raise DataError(path, f"not a readable .npz: {e}", "save it again, without object arrays") from e
    points_NS2 = arrays.pop("keypoints", None)
    if points_NS2 is None:
        raise DataError(path, "no array `keypoints` there", "save it as np.savez(path, keypoints=...)")
    if points_NS2.ndim != 3 or points_NS2.shape[2] != 2 or points_NS2.dtype.kind not in "iuf":
        problem = f"keypoints are {points_NS2.dtype} {points_NS2.shape}, expected numbers (N, J, 2)"
        raise DataError(path, problem, "give x and y of every joint")
    names = [str(name) for name in arrays.pop("joints", range(points_NS2.shape[1]))]
    if len(names) != points_NS2.shape[1]:
        raise DataError(path, f"{len(names)} names for {points_NS2.shape[1]} joints", "give one name a joint")
    return names, points_NS2.astype(np.float64), arrays


def _read_columns(path: Path) -> tuple[list[str], np.ndarray, dict[str, np.ndarray]]:
    text = {"group": pa.string(), "label": pa.string()}
    try:
        if path.suffix == ".csv":
            options = pa.csv.ConvertOptions(column_types=text, null_values=["", "nan", "NaN", "NA"])
            in_order = pa.csv.ReadOptions(use_threads=False)  # so that errors can name the row
            table = pa.csv.read_csv(path, in_order, convert_options=options)
        else:
            table = pa.parquet.read_table(path)
    except (pa.ArrowException, OSError) as e:
        raise DataError(
            path,
            f"not a readable table: {' '.join(str(e).split())}",
            "see that every line has as many cells as the header",
        ) from e
    columns = table.column_names
    names = [c.removesuffix("_x") for c in columns if c.endswith("_x") and f"{c.removesuffix('_x')}_y" in columns]
    if not names or len(set(columns)) != len(columns):
        problem = f"no columns JOINT_x, JOINT_y among {columns[:4]}" if not names else "two columns have one name"
        raise DataError(path, problem, "name the columns like left_wrist_x, left_wrist_y")
    numbers = [_numbers(table[f"{name}_{axis}"], f"{path}, column {name}_{axis}") for name in names for axis in "xy"]
    points_NS2 = np.stack(numbers, 1).reshape(table.num_rows, len(names), 2)
    return names, points_NS2, {c: np.array(table[c].cast(pa.string()).fill_null("")) for c in text if c in columns}


def _numbers(column: pa.ChunkedArray, where: str) -> np.ndarray:
    """A column as float64, empty cells as NaN."""
    try:
        return column.cast(pa.float64()).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as e:
        raise DataError(where, f"not a number: {e}", "write plain numbers, and nothing where there is none") from e
