"""Tables for a terminal: columns lined up by spaces."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

SIDES = {"l": "left", "r": "right"}


def text_table(rows: Sequence[Sequence[str]], align: str | None = None) -> str:
    """Line up rows of cells.

    Args:
        rows: all of one length, a heading among them where there is one.
        align: a letter a column, "l" for left and "r" for right; by default the first is left and the others right.
    """
    align = align or "l" + "r" * (len(rows[0]) - 1)
    sides = [SIDES[letter] for letter in align]
    # Cells are text: "1e5" or "0.10" stay as they are, and so do marks and indents in front.
    return tabulate(rows, tablefmt="plain", colalign=sides, disable_numparse=True, preserve_whitespace=True)
