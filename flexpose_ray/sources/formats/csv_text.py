"""Tables as text: whatever parts the cells, however numbers are written, under one header row or DeepLabCut's three."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.text import read_text

DELIMITERS = (",", ";", "\t", "|")
NO_NUMBER = ("", "nan", "na", "n/a", "null", "none", "-")
PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
MAX_CELL = 1 << 20
DLC = ("scorer", "individuals", "bodyparts", "coords")  # first cells of DeepLabCut's header rows


@dataclass(frozen=True)
class TextTable:
    """A table's cells.

    Attributes:
        names: of the columns; DeepLabCut's several rows are joined, as in ``wrist.x``, ``mouse1.wrist.x``.
        rows: the cells of each row, as many as names.
        row_names: "line 7".
        bad: (where, problem) of rows with another number of cells.
    """

    names: list[str]
    rows: list[list[str]]
    row_names: list[str]
    bad: list[tuple[str, str]]

    def numbers(self, columns: list[int]) -> tuple[np.ndarray, dict[int, str]]:
        """Cells of some columns as numbers, NaN where there is none, and row -> the first cell that is no number."""
        found, broken = np.full((len(self.rows), len(columns)), np.nan), {}
        for i, row in enumerate(self.rows):
            for k, column in enumerate(columns):
                try:
                    found[i, k] = cell_number(row[column])
                except ValueError:
                    broken.setdefault(i, f"{self.names[column]} is {row[column][:40]!r}, not a number")
        return found, broken


def read_text_table(path: Path) -> TextTable:
    """Read a .csv, .tsv or .txt in any usual encoding, packed or not.

    Cells are parted by what the first line has most of: comma, semicolon, tab or bar.

    Raises:
        DataError: an empty file, or one that is no table.
    """
    text = read_text(path)
    lines = text.splitlines()
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        raise DataError(path, "an empty file", "give a table with a line of column names")
    delimiter = max(DELIMITERS, key=lambda mark: _outside_quotes(first, mark))
    csv.field_size_limit(MAX_CELL)
    try:
        cells = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True))
    except csv.Error as e:
        raise DataError(path, f"not a readable table: {e}", "write it again as plain CSV") from e
    numbered = [(i, [cell.strip() for cell in row]) for i, row in enumerate(cells, 1) if any(c.strip() for c in row)]
    header_rows = []
    while numbered and (not header_rows or numbered[0][1][0].lower() in DLC):
        header_rows.append(numbered.pop(0)[1])
        if header_rows[0][0].lower() not in DLC:
            break
    names = _names(path, header_rows)
    good = [(i, row) for i, row in numbered if len(row) == len(names)]
    bad = [
        (f"line {i}", f"found {len(row)} cells, expected {len(names)} as in the header")
        for i, row in numbered
        if len(row) != len(names)
    ]
    return TextTable(names, [row for _, row in good], [f"line {i}" for i, _ in good], bad)


def cell_number(cell: str) -> float:
    """A number with a point or a comma for its fraction; NaN for the usual words for none.

    Raises:
        ValueError: anything else, also numbers with marks between thousands.
    """
    cell = cell.strip()
    if PLAIN.fullmatch(cell):
        return float(cell)
    if cell.lower() in NO_NUMBER:
        return float("nan")
    if cell.count(",") == 1 and "." not in cell and PLAIN.fullmatch(cell.replace(",", ".")):
        return float(cell.replace(",", "."))
    if cell.lower().lstrip("+-") in ("inf", "infinity"):
        return float("nan")
    raise ValueError(cell)


def _outside_quotes(line: str, mark: str) -> int:
    return re.sub(r'"[^"]*"', "", line).count(mark)


def _names(path: Path, header_rows: list[list[str]]) -> list[str]:
    """The columns' names; of DeepLabCut's rows body part and coordinate, and the animal where there are several."""
    kinds = [row[0].lower() for row in header_rows]
    if kinds[0] not in DLC:
        return header_rows[0]
    rows = {kind: row for kind, row in zip(kinds, header_rows, strict=True) if kind != "scorer"}
    if not {"bodyparts", "coords"} <= set(rows):
        raise DataError(path, f"header rows {', '.join(kinds)}", "a DeepLabCut file has scorer, bodyparts and coords")
    if len({len(row) for row in rows.values()}) > 1:
        raise DataError(path, "header rows of different lengths", "write the file again")
    animals = set(rows.get("individuals", [])[1:])
    parts = [rows[kind] for kind in ("individuals", "bodyparts", "coords") if kind in rows]
    parts = parts[1:] if len(animals) == 1 else parts
    return ["", *(".".join(names) for names in zip(*(row[1:] for row in parts), strict=True))]
