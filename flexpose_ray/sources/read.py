"""Reading any source, ``KIND:PATH?OPTION=VALUE``: its format, its files, its options."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.cameras import CAMERA_OPTIONS, parse_cameras
from flexpose_ray.sources.film import Clip, film
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats import FORMATS, Format
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.joint_map import read_mapping
from flexpose_ray.sources.options import parse_options
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.report import ReadReport

KINDS = (*FORMATS, "poses", "synthetic")
MAPPED = tuple(sorted(kind for kind, entry in FORMATS.items() if entry.mapped))

Part = TypeVar("Part", RawPoses, Clip)
Map = Callable[[Callable[[Path], list], list[Path]], Iterable[list]]


def read_source(
    source: str,
    mapping: str | Path | None = None,
    read_files: Map = map,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **options: str,
) -> tuple[PoseSet, ReadReport]:
    """Read a set of annotations into poses.

    Args:
        source: ``KIND:PATH``; the path may hold environment variables, as in ``coco:${DATA}/person_keypoints.json``.
            ``poses:URI`` reads a pose set of ours, ``synthetic:NAME?count=2000&seed=0`` makes one. Options follow a
            ``?``: ``table:PATH?size=640x480&y=up``, see :class:`~flexpose_ray.sources.options.Options`. Motion in 3D
            needs cameras, as in ``bvh:PATH?cameras=fixed&every=3``; see :class:`~flexpose_ray.sources.cameras.Cameras`.
        mapping: YAML file from a skeleton's joints to the set's own, for kinds whose joints vary.
        read_files: how a format's reader is called on the set's files; as ``map``, in their order.
        on_progress: takes (files read, files in all).
        options: more of what may follow the ``?``.

    Raises:
        ConfigError: unknown kind or option, unset environment variable, cameras that are missing or wrong, a mapping
            that is broken or that this kind does not take.
        DataError: a missing or unreadable file, or poses that cannot be used.
    """
    kind, colon, rest = source.partition(":")
    if not colon or kind not in KINDS:
        problem = f"{kind!r} is no kind of source" if colon else "no KIND: in front of the path"
        hint = f"write KIND:PATH, KIND one of {', '.join(KINDS)}; `flexpose formats` shows them"
        raise ConfigError(f"source {source!r}", problem, hint)
    if mapping is not None and kind not in MAPPED:
        raise ConfigError("mapping", f"cannot be used with {kind}", f"leave it out; it is for {', '.join(MAPPED)}")
    if kind in ("synthetic", "poses"):
        if options:
            raise ConfigError(f"source {source!r}", f"takes no {next(iter(options))}", "leave it out")
        poses = sample_synthetic(rest) if kind == "synthetic" else read_poses(_expand(rest, source))
        return poses, ReadReport.of(source if kind == "synthetic" else _expand(rest, source), poses)
    entry = FORMATS[kind]
    path, query = _path_and_query(_expand(rest, source))
    query = "&".join([*([query] if query else []), *(f"{name}={value}" for name, value in options.items())])
    own = (*entry.options, *(CAMERA_OPTIONS if entry.in_3d else ()))
    read = parse_options(query, source, own, entry.in_3d)
    joint_map = read_mapping(mapping, read.skeleton) if mapping is not None else None
    cameras = None
    if entry.in_3d:
        cameras = parse_cameras({k: v for k, v in read.own.items() if k in CAMERA_OPTIONS}, source)
    reader_options = {name: value for name, value in read.own.items() if name in entry.options}
    files = _files(entry, path, kind)
    root = path if path.is_dir() else path.parent
    parts = _parts(
        read_files(partial(_read_one, entry, root, reader_options), files), len(files), read.max_bad, on_progress
    )
    if cameras is not None:
        return to_pose_set(str(path), film(parts, cameras, joint_map), None, read)
    return to_pose_set(str(path), parts, joint_map, read)


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


def _path_and_query(place: str) -> tuple[Path, str]:
    """The path and what follows its last ``?``; a file whose name has one is found as well."""
    path, mark, query = place.rpartition("?")
    return (Path(path), query) if mark and not os.path.exists(place) else (Path(place), "")


def _expand(path: str, source: str) -> str:
    """``path`` with environment variables and ``~`` filled in."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$(\w+|\{[^}]*\})", expanded)
    if unset:
        name = unset.group(1).strip("{}")
        raise ConfigError(f"source {source!r}", f"environment variable {name} is not set", f"export {name}=...")
    return expanded
