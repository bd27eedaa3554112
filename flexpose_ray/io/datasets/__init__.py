"""Readers of annotations, one a format, behind ``KIND:PATH``."""

from __future__ import annotations

import os
import re
from pathlib import Path

from flexpose_ray.core.errors import ConfigError, DataError
from flexpose_ray.core.poses import PoseSet
from flexpose_ray.io.datasets.coco import read_coco
from flexpose_ray.io.datasets.reading import ReadReport

__all__ = ["KINDS", "ReadReport", "read_source"]

KINDS = ("coco",)


def read_source(source: str, mapping: str | None = None) -> tuple[PoseSet, ReadReport]:
    """Read a set of annotations into poses.

    Args:
        source: ``KIND:PATH``; the path may hold environment variables, as in ``coco:${DATA}/person_keypoints.json``.
        mapping: YAML file from skeleton joints to the set's own joints.

    Raises:
        ConfigError: unknown kind, unset environment variable.
        DataError: a missing or unreadable file, or poses that cannot be used.
    """
    kind, colon, rest = source.partition(":")
    if not colon or kind not in KINDS:
        raise ConfigError(
            f"source {source!r}", f"{kind!r} is no kind of source", f"write KIND:PATH with {', '.join(KINDS)}"
        )
    path = Path(_expand(rest, source))
    if not path.exists():
        raise DataError(path, "no such file or folder", "check the path of the source")
    return read_coco(path)


def _expand(path: str, source: str) -> str:
    """``path`` with environment variables and ``~`` filled in."""
    expanded = os.path.expanduser(os.path.expandvars(path))
    unset = re.search(r"\$(\w+|\{[^}]*\})", expanded)
    if unset:
        name = unset.group(1).strip("{}")
        raise ConfigError(f"source {source!r}", f"environment variable {name} is not set", f"export {name}=...")
    return expanded
