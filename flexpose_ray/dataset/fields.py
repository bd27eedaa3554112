"""JSON of a data set: written byte for byte the same, and checked field by field when it is read."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, get_args

from flexpose_ray.canonical import canonical_text
from flexpose_ray.errors import DataError

NAMES = {int: "an integer", float: "a number", str: "a string", dict: "an object", list: "a list", NoneType: "null"}
Kinds = Mapping[str, type | UnionType]


def canonical_json(value: Any) -> bytes:
    """The one spelling of a JSON value: sorted keys, no spaces, no NaN."""
    return canonical_text(value).encode() + b"\n"


def damaged(where: str, problem: str) -> DataError:
    """The error about a file of a data set that holds something else than it should."""
    return DataError(where, problem, "restore the file, or generate the data set again in another place")


def checked_fields(value: Any, kinds: Kinds, where: str, prefix: str = "") -> dict[str, Any]:
    """Return ``value``, after checking that it is an object with exactly the fields in ``kinds``.

    Args:
        value: JSON as ``json.loads`` gives it.
        kinds: type of every field by its key; an integer may stand for a number, but true and false may not.
        where: address of the file, for the error.
        prefix: what leads to ``value`` in that file, such as ``run.``.

    Raises:
        DataError: a field is missing, unknown or of another type; names file and key.
    """
    if not isinstance(value, dict):
        raise damaged(where, f"{prefix.rstrip('.') or 'the file'} is {reprlib.repr(value)}, not an object")
    for key in sorted(kinds.keys() | value.keys()):
        if key not in value:
            raise damaged(where, f"{prefix}{key} is missing")
        if key not in kinds:
            raise damaged(where, f"{prefix}{key} is unknown to this version")
        if not _fits(value[key], kinds[key]):
            wanted = " or ".join(NAMES[kind] for kind in get_args(kinds[key]) or (kinds[key],))
            raise damaged(where, f"{prefix}{key} is {reprlib.repr(value[key])}, not {wanted}")
    return value


def checked_values(value: dict[str, Any], kind: type, where: str, prefix: str) -> dict[str, Any]:
    """Return ``value``, an object with keys of any name, after checking the type of all its values.

    Raises:
        DataError: a value of another type; names file and key.
    """
    return checked_fields(value, dict.fromkeys(value, kind), where, prefix)


def _fits(value: Any, kind: type | UnionType) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, kind) or (isinstance(value, int) and float in (kind, *get_args(kind)))
