"""Readers of annotations, one a format, behind ``KIND:PATH``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.cameras import parse_cameras
from flexpose_ray.sources.formats.coco import read_coco
from flexpose_ray.sources.formats.lsp import read_lsp
from flexpose_ray.sources.formats.motion import read_bvh_motion, read_npz_motion
from flexpose_ray.sources.formats.mpii import read_mpii
from flexpose_ray.sources.formats.penn import read_penn
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.formats.table import read_table
from flexpose_ray.sources.mapping import read_mapping
from flexpose_ray.sources.parquet import read_poses
from flexpose_ray.sources.reading import ReadReport, summarise

__all__ = ["KINDS", "ReadReport", "read_source"]

READERS = {"coco": read_coco, "penn": read_penn, "table": read_table, "mpii": read_mpii, "lsp": read_lsp}
MOTIONS = {"bvh": read_bvh_motion, "motion": read_npz_motion}  # in 3D, seen by cameras
MAPPED = ("bvh", "coco", "motion", "table")  # the kinds whose joint names vary from file to file
FOLDERS = ("bvh", "penn")
KINDS = (*READERS, *MOTIONS, "poses", "synthetic")


def read_source(source: str, mapping: str | Path | None = None) -> tuple[PoseSet, ReadReport]:
    """Read a set of annotations into poses.

    Args:
        source: ``KIND:PATH``; the path may hold environment variables, as in ``coco:${DATA}/person_keypoints.json``.
            ``poses:URI`` reads a pose set of ours, ``synthetic:NAME?count=2000&seed=0`` makes one. Motion in 3D needs
            cameras, as in ``bvh:PATH?cameras=fixed&every=3``; see :class:`~flexpose_ray.sources.cameras.Cameras`.
        mapping: YAML file from a skeleton's joints to the set's own, for ``bvh``, ``coco``, ``motion`` and ``table``.

    Raises:
        ConfigError: unknown kind, unset environment variable, cameras that are missing or wrong, a mapping that is
            broken or has no use here.
        DataError: a missing or unreadable file, or poses that cannot be used.
    """
    kind, colon, rest = source.partition(":")
    if not colon or kind not in KINDS:
        problem = f"{kind!r} is no kind of source" if colon else "no KIND: in front of the path"
        raise ConfigError(f"source {source!r}", problem, f"write KIND:PATH, KIND one of {', '.join(KINDS)}")
    if mapping is not None and kind not in MAPPED:
        raise ConfigError("mapping", f"has no use with {kind}", f"leave it out, it goes with {', '.join(MAPPED)}")
    if kind == "synthetic":
        poses = sample_synthetic(rest)
        return poses, summarise(source, poses)
    place = _expand(rest, source)
    if kind == "poses":
        poses = read_poses(place)
        return poses, summarise(place, poses)
    options = []
    if kind in MOTIONS:
        place, _, query = place.partition("?")
        options = [parse_cameras(query, source)]
    path = Path(place)
    if not path.exists():
        raise DataError(path, "no such file or folder", "check the path of the source")
    if kind not in FOLDERS and not path.is_file():
        raise DataError(path, "is a folder, expected a file", f"give the {kind} file itself")
    if mapping is not None:
        options.append(read_mapping(mapping))
    return (READERS | MOTIONS)[kind](path, *options)


def _expand(path: str, source: str) -> str:
    """``path`` with environment variables and ``~`` filled in."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$(\w+|\{[^}]*\})", expanded)
    if unset:
        name = unset.group(1).strip("{}")
        raise ConfigError(f"source {source!r}", f"environment variable {name} is not set", f"export {name}=...")
    return expanded
