"""Reading any source, ``KIND:PATH?OPTION=VALUE``: its format, its files, its options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.cameras import CAMERA_OPTIONS, parse_cameras
from flexpose_ray.sources.film import film
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats import FORMATS
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.joint_map import read_mapping
from flexpose_ray.sources.opening import Map, expand, path_and_query, read_parts
from flexpose_ray.sources.options import parse_options
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.sources.report import ReadReport

KINDS = (*FORMATS, "poses", "synthetic")
MAPPED = tuple(sorted(kind for kind, entry in FORMATS.items() if entry.mapped))


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
        poses = sample_synthetic(rest) if kind == "synthetic" else read_poses(expand(rest, source))
        return poses, ReadReport.of(source if kind == "synthetic" else expand(rest, source), poses)
    entry = FORMATS[kind]
    path, query = path_and_query(expand(rest, source))
    query = "&".join([*([query] if query else []), *(f"{name}={value}" for name, value in options.items())])
    own = (*entry.options, *(CAMERA_OPTIONS if entry.in_3d else ()))
    read = parse_options(query, source, own, entry.in_3d)
    joint_map = read_mapping(mapping, read.skeleton) if mapping is not None else None
    cameras = None
    if entry.in_3d:
        cameras = parse_cameras({k: v for k, v in read.own.items() if k in CAMERA_OPTIONS}, source)
    parts = read_parts(kind, path, read, read_files, on_progress)
    if cameras is not None:
        return to_pose_set(str(path), film(parts, cameras, joint_map), None, read)
    return to_pose_set(str(path), parts, joint_map, read)
