"""3D motion files as motions of the studio's people: ``synthetic:studio?motion=bvh:PATH``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.cameras import check_axis, distance_to, upright
from flexpose_ray.sources.film import body_of
from flexpose_ray.sources.formats import FORMATS
from flexpose_ray.sources.joint_map import read_mapping
from flexpose_ray.sources.opening import expand, path_and_query, read_parts
from flexpose_ray.sources.options import parse_options, parse_whole
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.studio.captured import Motion

KINDS_3D = tuple(kind for kind, entry in FORMATS.items() if entry.in_3d)
OWN = ("every", "label", "up", "mapping")  # options of every kind of motion
USE = f"write motion=KIND:PATH, KIND one of {', '.join(KINDS_3D)}, with ?every=N;up=z;label=NAME;mapping=FILE behind it"


def read_motions(source: str) -> tuple[Motion, ...]:
    """Read 3D motion, upright and as joints of body_15.

    Args:
        source: ``KIND:PATH`` of a format in 3D; the path may hold environment variables. Options follow a ``?`` and are
            joined by ``;``, so that they can stand among those of a studio: the format's own, ``every`` (one frame in
            so many), ``label`` (of all motions), ``up`` (the axis that is, where the file does not say it),
            ``mapping`` (YAML file from the joints of body_15 to the motion's) and ``swap_sides``.

    Returns:
        Motions in the order of the files. Those of a format that keeps no label have the label "motion".

    Raises:
        ConfigError: another kind, an unknown option, or one that cannot be used.
        DataError: a missing or unreadable file, joints that are not known, or a frame that no camera could see.
    """
    where = f"motion {source!r}"
    kind, colon, rest = source.partition(":")
    if not colon or kind not in KINDS_3D:
        raise ConfigError(where, f"{kind!r} is no kind of motion in 3D", USE)
    path, query = path_and_query(expand(rest, source))
    options = parse_options(query.replace(";", "&"), source, (*FORMATS[kind].options, *OWN), in_3d=True)
    own = options.own
    if options.skeleton is not None:
        raise ConfigError(where, "the studio's people have the joints of body_15", "leave skeleton out")
    if "up" in own:
        check_axis(own["up"], where)
    every = parse_whole("every", own.get("every", "1"), where, "write every=3")
    joint_map = read_mapping(Path(own["mapping"])) if "mapping" in own else None
    found = []
    for clip in read_parts(kind, path, options):
        if isinstance(clip, RawPoses):  # one of few files that cannot be read
            continue
        body_FJ3 = upright(body_of(clip, joint_map), own.get("up") or clip.up)[::every]
        if options.swap_sides:
            body_FJ3 = body_FJ3[:, list(BODY_15.flip)]
        if len(body_FJ3):
            distance_to(body_FJ3, clip.where)
            found.append(Motion(clip.name, own.get("label") or clip.label or "motion", np.float64(body_FJ3)))
    if not found:
        raise DataError(path, "no motion there", "give files with frames")
    return tuple(found)
