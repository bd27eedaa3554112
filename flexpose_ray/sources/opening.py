"""From ``KIND:PATH?OPTIONS`` to what the format's reader found: the path, its files, and their parts one by one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.film import Clip
from flexpose_ray.sources.formats import FORMATS, Format
from flexpose_ray.sources.options import Options
from flexpose_ray.sources.raw import RawPoses

Part = TypeVar("Part", RawPoses, Clip)
Map = Callable[[Callable[[Path], list], list[Path]], Iterable[list]]


def read_parts(
    kind: str,
    path: Path,
    options: Options,
    read_files: Map = map,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[Part]:
    """What the files hold that ``path`` stands for, part by part.

    Args:
        kind: of the format.
        path: file or folder.
        options: as parsed; those that are the format's own go to its reader.
        read_files: how the reader is called on the files; as ``map``, in their order.
        on_progress: takes (files read, files in all).

    Raises:
        DataError: a missing file or folder, at once; an unreadable one, when its turn comes.
    """
    entry = FORMATS[kind]
    own = {name: value for name, value in options.own.items() if name in entry.options}
    files = _files(entry, path, kind)
    root = path if path.is_dir() else path.parent
    return _parts(read_files(partial(_read_one, entry, root, own), files), len(files), options.max_bad, on_progress)


def _files(entry: Format, path: Path, kind: str) -> list[Path]:
    """The files that a source's path stands for."""
    if not path.exists():
        raise DataError(path, "no such file or folder", "check the path of the source")
    if path.is_file():
        return [path]
    if not entry.files:
        raise DataError(path, "is a folder, expected a file", f"give the {kind} file itself")
    return entry.files(path)


def _parts(
    found: Iterable[list[Part] | DataError], files: int, max_bad: float, on_progress: Callable[[int, int], None]
) -> Iterator[Part]:
    """What was found in each file, one after another; few files that cannot be read count as unreadable rows."""
    bad = 0
    for done, parts in enumerate(found, 1):
        if isinstance(parts, DataError):
            bad += 1
            if bad > max_bad * files:
                raise parts
            parts = [RawPoses(np.zeros((0, 0, 2)), [], [], bad=((parts.where, parts.problem),))]
        yield from parts
        on_progress(done, files)


def _read_one(entry: Format, root: Path, options: dict[str, str], file: Path) -> list[Part] | DataError:
    """The parts of one file, or why it cannot be read: one of many may be damaged."""
    try:
        found = entry.read(file, **({"root": root} if entry.files else {}), **options)
        return [found] if isinstance(found, RawPoses | Clip) else list(found)
    except DataError as e:
        return e
    except (ConfigError, OSError):
        raise
    except Exception as e:  # what no reader has foreseen is damage of a kind of its own
        problem = f"cannot be read: {type(e).__name__}: {' '.join(str(e).split())[:120]}"
        return DataError(file, problem, "see whether the file is whole, and of this kind")


def path_and_query(place: str) -> tuple[Path, str]:
    """The path and what follows its last ``?``; a file whose name has one is found as well."""
    path, mark, query = place.rpartition("?")
    return (Path(path), query) if mark and not os.path.exists(place) else (Path(place), "")


def expand(path: str, source: str) -> str:
    """``path`` with environment variables and ``~`` filled in."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$(\w+|\{[^}]*\})", expanded)
    if unset:
        name = unset.group(1).strip("{}")
        raise ConfigError(f"source {source!r}", f"environment variable {name} is not set", f"export {name}=...")
    return expanded
