"""One thing that the doctor checks, and the checks as text."""

from __future__ import annotations

from typing import NamedTuple

from flexpose_ray.text_table import text_table


class Check(NamedTuple):
    """The result of one check.

    Attributes:
        name: what was checked.
        status: ``ok``, ``warn`` or ``fail``.
        found: what is there.
        way_out: what to do about it; empty where all is well.
    """

    name: str
    status: str
    found: str
    way_out: str = ""


def format_checks(checks: list[Check]) -> str:
    """The checks as lines, each that is not well followed by what to do about it."""
    rows = []
    for check in checks:
        rows.append((check.status, check.name, check.found))
        if check.way_out:
            rows.append(("", "", f"-> {check.way_out}"))
    return text_table(rows, "lll")
