"""Text as people's tools write it: packed or not, in any of the usual encodings; and JSON and YAML read with care."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from pathlib import Path

import yaml

from flexpose_ray.errors import DataError

MAX_BYTES = 4 << 30  # of what a packed file may hold
BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def unpacked(path: Path) -> bytes:
    """Read a file; gzip is unpacked, whatever the file's name.

    Raises:
        DataError: a damaged gzip file, one that holds more than 4 GiB, or a file that cannot be read.
    """
    try:
        content = path.read_bytes()
        if content[:2] != b"\x1f\x8b":
            return content
        with gzip.open(path) as packed:
            content = packed.read(MAX_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise DataError(path, f"damaged file: {e}", "download it again") from e
    except (OSError, MemoryError) as e:
        raise DataError(path, f"cannot be read: {e}", "check the file and its permissions") from e
    if len(content) > MAX_BYTES:
        raise DataError(path, f"holds more than {MAX_BYTES >> 30} GiB", "give a smaller file")
    return content


def read_text(path: Path) -> str:
    """A text file, packed or not, in UTF-8 or UTF-16 with or without a mark at its start, else in Latin-1.

    Raises:
        DataError: as :func:`unpacked`.
    """
    return decoded(unpacked(path))


def decoded(content: bytes) -> str:
    """Text of any usual encoding; Latin-1 takes any bytes, and only names and remarks hold such letters."""
    for mark, encoding in BOMS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    if content[1:2] == b"\0" or content[:1] == b"\0":
        return content.decode("utf-16-le" if content[1:2] == b"\0" else "utf-16-be", "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_json(path: Path, what: str) -> object:
    """A JSON file's content; whole numbers of more digits than any coordinate has are read as infinite.

    Args:
        path: the file, packed or not.
        what: what it should be, for errors: "a COCO keypoint file".

    Raises:
        DataError: broken JSON, with line and column.
    """
    text = read_text(path)
    try:
        return json.loads(text, parse_int=_whole_number)
    except json.JSONDecodeError as e:
        raise DataError(
            f"{path}, line {e.lineno}, column {e.colno}", f"broken JSON: {e.msg}", f"repair the file, or give {what}"
        ) from e
    except RecursionError as e:
        raise DataError(path, "damaged file: brackets in brackets without end", f"give {what}") from e


def _whole_number(digits: str) -> int | float:
    return int(digits) if len(digits) < 19 else float(digits)


def number(value: object) -> float:
    """A number as people's tools write it: a number, its text, true or false; NaN for null, none and empty text.

    Raises:
        ValueError: anything else.
    """
    if value is None:
        return float("nan")
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        return float(text) if text else float("nan")
    raise ValueError(f"{type(value).__name__} in a number's place")


def unique_keys() -> type[yaml.BaseLoader]:
    """A YAML loader of plain text, so that 001 is a name, that refuses a key that stands twice."""

    class Loader(yaml.BaseLoader):
        def construct_mapping(self, node, deep=False):
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if isinstance(key, str) and (key in seen or seen.add(key)):
                    raise yaml.constructor.ConstructorError(None, None, f"{key} stands twice", key_node.start_mark)
            return super().construct_mapping(node, deep)

    return Loader
