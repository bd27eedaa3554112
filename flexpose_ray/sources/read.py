"""Reading any source, ``KIND:PATH``: one reader for each format."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.cameras import parse_cameras
from flexpose_ray.sources.film import Clip, film
from flexpose_ray.sources.formats.coco import read_coco
from flexpose_ray.sources.formats.lsp import read_lsp
from flexpose_ray.sources.formats.motion import read_bvh_clips, read_npz_clips
from flexpose_ray.sources.formats.mpii import read_mpii
from flexpose_ray.sources.formats.penn import read_penn
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.formats.table import read_table
from flexpose_ray.sources.mapping import read_mapping
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.sources.raw import RawPoses, ReadReport, summarise, to_pose_set


@dataclass(frozen=True)
class Format:
    """One format of annotations.

    Attributes:
        read: its reader; that of a 3D format returns clips, which cameras then see.
        mapped: whether joint names vary from file to file, so that a mapping makes sense.
        folder: whether the path may be a folder.
        in_3d: whether the source states cameras behind a ``?``.
    """

    read: Callable[[Path], RawPoses] | Callable[[Path], Iterator[Clip]]
    mapped: bool = False
    folder: bool = False
    in_3d: bool = False


FORMATS = {
    "coco": Format(read_coco, mapped=True),
    "penn": Format(read_penn, folder=True),
    "table": Format(read_table, mapped=True),
    "mpii": Format(read_mpii),
    "lsp": Format(read_lsp),
    "bvh": Format(read_bvh_clips, mapped=True, folder=True, in_3d=True),
    "motion": Format(read_npz_clips, mapped=True, in_3d=True),
}
KINDS = (*FORMATS, "poses", "synthetic")
MAPPED = tuple(sorted(kind for kind, entry in FORMATS.items() if entry.mapped))


def read_source(source: str, mapping: str | Path | None = None) -> tuple[PoseSet, ReadReport]:
    """Read a set of annotations into poses.

    Args:
        source: ``KIND:PATH``; the path may hold environment variables, as in ``coco:${DATA}/person_keypoints.json``.
            ``poses:URI`` reads a pose set of ours, ``synthetic:NAME?count=2000&seed=0`` makes one. Motion in 3D needs
            cameras, as in ``bvh:PATH?cameras=fixed&every=3``; see :class:`~flexpose_ray.sources.cameras.Cameras`.
        mapping: YAML file from a skeleton's joints to the set's own, for ``bvh``, ``coco``, ``motion`` and ``table``.

    Raises:
        ConfigError: unknown kind, unset environment variable, cameras that are missing or wrong, a mapping that is
            broken or that this kind does not take.
        DataError: a missing or unreadable file, or poses that cannot be used.
    """
    kind, colon, rest = source.partition(":")
    if not colon or kind not in KINDS:
        problem = f"{kind!r} is no kind of source" if colon else "no KIND: in front of the path"
        raise ConfigError(f"source {source!r}", problem, f"write KIND:PATH, KIND one of {', '.join(KINDS)}")
    if mapping is not None and kind not in MAPPED:
        raise ConfigError("mapping", f"cannot be used with {kind}", f"leave it out; it is for {', '.join(MAPPED)}")
    if kind == "synthetic":
        poses = sample_synthetic(rest)
        return poses, summarise(source, poses)
    place = _expand(rest, source)
    if kind == "poses":
        poses = read_poses(place)
        return poses, summarise(place, poses)
    entry = FORMATS[kind]
    if entry.in_3d:
        place, _, query = place.partition("?")
        cameras = parse_cameras(query, source)
    path = Path(place)
    if not path.exists():
        raise DataError(path, "no such file or folder", "check the path of the source")
    if not entry.folder and not path.is_file():
        raise DataError(path, "is a folder, expected a file", f"give the {kind} file itself")
    joint_map = read_mapping(mapping) if mapping is not None else None
    if entry.in_3d:
        return to_pose_set(path, film(str(path), entry.read(path), cameras, joint_map))
    return to_pose_set(path, entry.read(path), joint_map)


def _expand(path: str, source: str) -> str:
    """``path`` with environment variables and ``~`` filled in."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$(\w+|\{[^}]*\})", expanded)
    if unset:
        name = unset.group(1).strip("{}")
        raise ConfigError(f"source {source!r}", f"environment variable {name} is not set", f"export {name}=...")
    return expanded
