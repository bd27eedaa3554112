"""Annotated pictures, each cut to the canvas of its pose: to judge a detector by, and to train its supervised twin."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from flexpose_ray.errors import DataError
from flexpose_ray.pictures.decoding import BadPictureError, Masks, cut, decode
from flexpose_ray.pictures.read import STUDIO, read_pictures, studio_at
from flexpose_ray.pictures.rows import PictureRows
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.read import read_source
from flexpose_ray.storage.open import locate, open_store
from flexpose_ray.studio.world import studio_poses

Load = Callable[[str], bytes | None]  # of a picture's name in the annotations


@dataclass(frozen=True, eq=False)
class AnnotatedPictures:
    """Pictures cut to their poses' canvases, and the true poses; row by row.

    Attributes:
        pictures_N3SS: uint8, RGB; on disk.
        poses: with clips (videos, persons) as groups.
    """

    pictures_N3SS: PictureRows
    poses: PoseSet

    def __len__(self) -> int:
        return len(self.poses)


def read_annotated(
    source: str, folder: str, size: int, mapping: str | None = None, masks: str | None = None
) -> AnnotatedPictures:
    """Annotated pictures of any source that names its pictures, or of the studio.

    Args:
        source: ``KIND:PATH``; ``synthetic:studio?part=test&count=N`` brings its pictures along.
        folder: where pictures are, by their names in the annotations: a folder, there or in ``images``, or a .tar file.
        size: side of the cut pictures, pixels.
        mapping: as of :func:`~flexpose_ray.sources.read.read_source`.
        masks: folder of masks of the pictures' names; all but the subject becomes black.

    Raises:
        DataError: the source names no pictures, or one is missing or unreadable.
    """
    if source.partition("?")[0] == STUDIO:
        return AnnotatedPictures(read_pictures(source, size).pictures_N3SS, studio_poses(studio_at(source, size)))
    poses, report = read_source(source, mapping)
    if report.picture_N is None or not all(report.picture_N):
        raise DataError(source, "does not name the pictures of its poses", "give annotations that do, as COCO's")
    load = _from_tar(folder) if folder.lower().endswith(".tar") else _from_folder(folder)
    maskings, rows = Masks(masks) if masks else None, PictureRows(size)
    for name, crop_3 in zip(report.picture_N, poses.crop_N3, strict=True):
        data = load(str(name))
        if data is None:
            raise DataError(f"{folder}/{name}", "no such picture", "give the folder of the annotated ones: --pictures")
        try:
            picture_HW3 = decode(data, upright=False)
            if maskings is not None:
                picture_HW3 = maskings.apply(str(name), picture_HW3)
        except BadPictureError as e:
            raise DataError(f"{folder}/{name}", str(e), "repair it, or drop its annotations") from e
        rows.append(cut(picture_HW3, crop_3, size).transpose(2, 0, 1)[None])
    return AnnotatedPictures(rows, poses)


def _places(name: str) -> tuple[str, ...]:
    """Where a picture of this name may lie."""
    return name, f"images/{name}", PurePosixPath(name).name


def _from_folder(folder: str) -> Load:
    store = open_store(folder)

    def load(name: str) -> bytes | None:
        key = next((key for key in _places(name) if store.exists(key)), None)
        return None if key is None else store.get(key)

    return load


def _from_tar(uri: str) -> Load:
    """The members of a tar file, by their paths and by their names alone."""
    store, key = locate(uri)
    members: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(store.get(key)), mode="r:") as tar:
            for member in tar:
                if member.isfile():
                    content = tar.extractfile(member).read()
                    members |= {member.name: content, PurePosixPath(member.name).name: content}
    except (tarfile.TarError, EOFError) as e:
        raise DataError(uri, f"not a whole tar file: {e}", "copy it again") from e
    return lambda name: next((members[place] for place in _places(name) if place in members), None)
