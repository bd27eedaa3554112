"""Annotations to a pose set on storage: what `flexpose prepare` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from flexpose_ray.errors import ConfigError
from flexpose_ray.sources.pose_file import write_poses
from flexpose_ray.sources.read import Map, ReadReport, read_source


def prepare(
    source: str,
    out_uri: str,
    mapping: str | Path | None = None,
    write: bool = True,
    preview: str | None = None,
    pictures: str | Path = ".",
    read_files: Map = map,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    **options: str,
) -> ReadReport:
    """Read annotations and write them as a pose set.

    Args:
        source: ``KIND:PATH``, see :func:`flexpose_ray.sources.read.read_source`.
        out_uri: the Parquet file to write, in a folder or under ``s3://``.
        mapping: YAML file from a skeleton's joints to the source's own.
        write: False checks everything without writing.
        preview: a picture to write, with some of the poses drawn; None: none.
        pictures: folder of the annotated pictures, for the preview.
        read_files: how files are read; see :func:`flexpose_ray.sources.read.read_source`.
        on_progress: takes (files read, files in all).
        options: of the reading, as they may follow the ``?`` of the source.

    Returns:
        The report; its text is a table.

    Raises:
        ConfigError: an unknown kind, a broken mapping, or an ``out_uri`` that does not end in .parquet.
        DataError: annotations that cannot be used; nothing is written then.
        StorageError: storage cannot be written.
    """
    if not str(out_uri).endswith(".parquet"):
        raise ConfigError(
            f"out {str(out_uri)!r}", "a pose set is one .parquet file", "write it like sets/poses.parquet"
        )
    poses, report = read_source(source, mapping, read_files, on_progress, **options)
    if write:
        write_poses(out_uri, poses, report.card())
    if write and preview is not None:
        from flexpose_ray.sources.preview import write_preview  # OpenCV is loaded only where something is drawn

        over = write_preview(preview, poses, report.picture_N, Path(pictures))
        shown = f"{preview}: {over} of the poses over their pictures, the others on a plain canvas"
        report = replace(report, notes=(*report.notes, shown))
    return report
