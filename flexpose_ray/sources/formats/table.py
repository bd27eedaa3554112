"""The user's own poses as .csv, .tsv, .parquet or .npz, with any names of joints."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from flexpose_ray.errors import DataError
from flexpose_ray.sources.formats.csv_text import read_text_table
from flexpose_ray.sources.raw import RawPoses, split_visibility

NO_EXTENT = 1e-9  # a table may be in any unit, so only poses without any extent are too small
SUFFIXES = (".npz", ".npy", ".csv", ".tsv", ".txt", ".parquet")
MAX_NUMBERS = 1 << 31
TOGETHER = "_"  # between the cells that together name a group
AFTER = re.compile(r"(?P<joint>.+?)[ _.:-]+(?P<what>[a-z]+)", re.IGNORECASE)  # wrist_x, wrist.x, wrist X
BEFORE = re.compile(r"(?P<what>[xyvc])[ _.:-]+(?P<joint>.+)", re.IGNORECASE)  # x_wrist
NUMBERED = re.compile(r"(?P<what>[xy])(?P<joint>\d+)", re.IGNORECASE)  # x0
THIRD = ("v", "vis", "visibility", "visible", "c", "conf", "confidence", "likelihood", "score", "s", "p")


@dataclass(frozen=True)
class _Columns:
    """Where a table's columns are: joint -> column of x and of y, joint -> column of its third number."""

    xy: dict[str, tuple[int, int]]
    third: dict[str, int]
    context: dict[str, tuple[int, ...]]


def read_table(
    path: Path, group: str = "group", label: str = "label", picture: str = "picture", only: str = ""
) -> RawPoses:
    """Read poses from a table.

    * Text and ``.parquet``: two columns a joint, ``wrist_x`` and ``wrist_y`` (or ``wrist.x``, ``x_wrist``, ``wrist X``)
      optional a third, ``wrist_confidence`` (or ``likelihood``, ``score``, ``visibility``, ``v``, ``c``); optional
      ``group``, ``label`` and ``picture``. Text may be parted by commas, semicolons, tabs or bars, in UTF-8, UTF-16 or
      Latin-1, and packed by gzip; DeepLabCut's and SLEAP's tables are such. Empty cells are joints that are not there.
    * ``.npz``: ``keypoints`` [N, J, 2], or [N, J, 3] with confidence or visibility; optional ``joints`` [J] (names),
      ``group`` [N], ``label`` [N]. ``.npy``: keypoints alone.

    Joints without names are named by their index: a mapping can use it, and without a mapping they are a skeleton's in
    its order. Without groups every pose is its own group.

    Args:
        path: the file.
        group: the column of groups, of text and ``.parquet``; several, as ``person,video``, together name a group.
        label: the column of labels.
        picture: the column of the pictures' paths.
        only: ``COLUMN:VALUE``: only rows with this value there.

    Raises:
        DataError: unreadable file, no joints, or a column that is asked for and not there. A row with a cell that is no
            number counts as unreadable.
    """
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix not in SUFFIXES:
        raise DataError(path, f"a table ends in {', '.join(SUFFIXES)}", "convert it to one of these")
    if suffix in (".npz", ".npy"):
        return _read_arrays(path)
    context = {"group": group, "label": label, "picture": picture} | ({"only": only.partition(":")[0]} if only else {})
    raw, only_N = (_read_parquet if suffix == ".parquet" else _read_text)(path, context)
    return raw if only_N is None else _rows(path, raw, only_N == only.partition(":")[2], only)


def _rows(path: Path, raw: RawPoses, keep_N: np.ndarray, only: str) -> RawPoses:
    """Some of the rows."""
    if not keep_N.any():
        raise DataError(path, f"no row has {only}", "look which values the column has")
    of = ("points_NS2", "group_N", "label_N", "missing_NS", "confidence_NS", "picture_N")
    kept = {name: value[keep_N] for name in of if (value := getattr(raw, name)) is not None}
    kept["row_names"] = [name for name, keep in zip(raw.row_names, keep_N, strict=True) if keep]
    return replace(raw, **kept)


def _read_text(path: Path, wanted: dict[str, str]) -> tuple[RawPoses, np.ndarray | None]:
    table = read_text_table(path)
    columns = _find_columns(path, table.names, wanted)
    numbers, broken = table.numbers([c for xy in columns.xy.values() for c in xy])
    thirds, broken_thirds = table.numbers(list(columns.third.values()))
    broken |= {row: problem for row, problem in broken_thirds.items() if row not in broken}
    good_N = np.array([i not in broken for i in range(len(table.rows))], bool)
    context = {
        name: np.array([TOGETHER.join(row[c] for c in at) for row in table.rows], np.str_)
        for name, at in columns.context.items()
    }
    bad = (*table.bad, *((table.row_names[i], problem) for i, problem in broken.items()))
    return _raw(columns, numbers, thirds, context, table.row_names, good_N, bad)


def _read_parquet(path: Path, wanted: dict[str, str]) -> tuple[RawPoses, np.ndarray | None]:
    try:
        table = pa.parquet.read_table(path)
    except (pa.ArrowException, OSError) as e:
        problem = f"not a readable table: {' '.join(str(e).split())[:200]}"
        raise DataError(path, problem, "write it again as Parquet") from e
    columns = _find_columns(path, table.column_names, wanted)
    numbers = np.stack([_floats(path, table, c) for xy in columns.xy.values() for c in xy], 1)
    thirds = np.stack([_floats(path, table, c) for c in columns.third.values()] or [np.zeros(table.num_rows)], 1)
    context = {}
    for name, at in columns.context.items():
        cells = zip(*(_texts(path, table, c) for c in at), strict=True)
        context[name] = np.array([TOGETHER.join(texts) for texts in cells], np.str_)
    rows = [f"row {i}" for i in range(table.num_rows)]
    return _raw(columns, numbers, thirds[:, : len(columns.third)], context, rows, np.ones(len(rows), bool), ())


def _floats(path: Path, table: pa.Table, column: int) -> np.ndarray:
    """A column as float64, empty cells as NaN."""
    values = table.column(column)
    try:
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        return values.cast(pa.float64()).to_numpy()
    except pa.ArrowException as e:
        where = f"{path}, column {table.column_names[column]}"
        raise DataError(
            where, f"not a number: {str(e)[:100]}", "write plain numbers, nothing where there is none"
        ) from e


def _texts(path: Path, table: pa.Table, column: int) -> list[str]:
    """A column as text, empty cells as empty text."""
    values = table.column(column)
    try:
        return values.cast(pa.string()).fill_null("").to_pylist()
    except pa.ArrowException as e:
        where = f"{path}, column {table.column_names[column]}"
        raise DataError(where, f"{values.type} is no text", "write text or numbers") from e


def _raw(
    columns: _Columns,
    numbers: np.ndarray,
    thirds: np.ndarray,
    context: dict[str, np.ndarray],
    row_names: list[str],
    good_N: np.ndarray,
    bad: tuple[tuple[str, str], ...],
) -> tuple[RawPoses, np.ndarray | None]:
    """The poses of the good rows, and for each the cell of the column that chooses some."""
    points_NS2 = numbers.reshape(len(numbers), len(columns.xy), 2)[good_N]
    third_NS = np.full(points_NS2.shape[:2], 2.0)
    for joint, values_N in zip(columns.third, thirds.T, strict=True):
        third_NS[:, list(columns.xy).index(joint)] = values_N[good_N]
    missing_NS, confidence_NS = split_visibility(third_NS)
    raw = RawPoses(
        points_NS2=points_NS2,
        names=list(columns.xy),
        row_names=[name for name, good in zip(row_names, good_N, strict=True) if good],
        group_N=context["group"][good_N] if "group" in context else None,
        label_N=context["label"][good_N] if "label" in context else None,
        missing_NS=missing_NS,
        confidence_NS=confidence_NS,
        min_extent=NO_EXTENT,
        bad=bad,
        picture_N=context["picture"][good_N] if "picture" in context else None,
    )
    return raw, context["only"][good_N] if "only" in context else None


def _find_columns(path: Path, names: list[str], wanted: dict[str, str]) -> _Columns:
    """The columns of joints by the forms that are known: with the most joints wins."""
    if twice := [name for name, count in Counter(name for name in names if name).items() if count > 1]:
        raise DataError(path, f"two columns have the name {twice[0]!r}", "give every column its own name")
    lower = [name.lower() for name in names]
    context = {}
    for what, name in wanted.items():
        parts = [name.lower()] if name.lower() in lower else name.lower().split(",")
        if absent := [part for part in parts if part not in lower]:
            if name == what:
                continue
            raise DataError(path, f"no column {absent[0]!r} there", f"the columns are {', '.join(names)[:300]}")
        context[what] = tuple(lower.index(part) for part in parts)
    taken = {c for at in context.values() for c in at}
    best: tuple[dict, dict] = ({}, {})
    for form in (AFTER, BEFORE, NUMBERED):
        at: dict[str, dict[str, int]] = {}
        for i, name in enumerate(names):
            if i not in taken and (found := form.fullmatch(name)):
                at.setdefault(found["joint"], {})[found["what"].lower()] = i
        xy = {joint: (whats["x"], whats["y"]) for joint, whats in at.items() if {"x", "y"} <= set(whats)}
        third = {joint: at[joint][what] for joint in xy for what in THIRD[::-1] if what in at[joint]}
        if len(xy) > len(best[0]):
            best = xy, third
    if not best[0]:
        problem = f"no columns JOINT_x, JOINT_y among {', '.join(names[:4])[:200]}"
        raise DataError(path, problem, "name the columns like left_wrist_x, left_wrist_y")
    return _Columns(*best, context)


def _read_arrays(path: Path) -> RawPoses:
    """An .npz or .npy, without objects."""
    wanted = ("keypoints", "joints", "group", "label")
    try:
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                with np.load(path, allow_pickle=False) as found:
                    _refuse_huge(path)
                    arrays = {key: found[key] for key in wanted if key in found}
            else:
                arrays = {"keypoints": np.load(path, allow_pickle=False)}
    except DataError:
        raise
    except Exception as e:  # a damaged file lets errors of any type out, of the tokenizer of its header among them
        problem = f"not readable as arrays: {' '.join(str(e).split())[:200]}"
        raise DataError(path, problem, "save it again, without object arrays") from e
    points = arrays.pop("keypoints", None)
    if points is None:
        raise DataError(path, "no array `keypoints` there", "save it as np.savez(path, keypoints=...)")
    if points.ndim != 3 or points.shape[2] not in (2, 3) or points.dtype.kind not in "iuf":
        problem = f"keypoints are {points.dtype} {points.shape}, expected numbers (N, J, 2)"
        raise DataError(path, problem, "give x and y of every joint, and a confidence if there is one")
    names = [_text(name) for name in np.ravel(arrays.pop("joints", np.arange(points.shape[1])))]
    if len(names) != points.shape[1]:
        raise DataError(path, f"{len(names)} names for {points.shape[1]} joints", "give one name a joint")
    for key, values in arrays.items():
        if values.shape != (len(points),):
            raise DataError(path, f"{key} has shape {values.shape} for {len(points)} poses", "give one value a pose")
    missing_NS, confidence_NS = None, None
    if points.shape[2] == 3:
        missing_NS, confidence_NS = split_visibility(points[..., 2])
    text = {key: np.array([_text(value) for value in values], np.str_) for key, values in arrays.items()}
    return RawPoses(
        points_NS2=points[..., :2].astype(np.float64),
        names=names,
        row_names=[f"row {i}" for i in range(len(points))],
        group_N=text.get("group"),
        label_N=text.get("label"),
        missing_NS=missing_NS,
        confidence_NS=confidence_NS,
        min_extent=NO_EXTENT,
    )


def _refuse_huge(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > 4 * MAX_NUMBERS:
        raise DataError(path, f"unpacks to {size >> 30} GiB", "give it in smaller files")


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
