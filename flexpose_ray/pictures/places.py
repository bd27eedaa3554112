"""Where pictures lie: files of a folder or bucket, members of tar files, rows of Parquet tables, frames of a video."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO
from urllib.parse import parse_qsl

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.errors import ConfigError, DataError, StorageError
from flexpose_ray.pictures.decoding import SUFFIXES, decode
from flexpose_ray.storage.open import locate, open_store

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
ROWS = 64  # of a table that are read at a time
CLIPS = ("clip", "video", "group")  # columns that name clips, where none is asked for


@dataclass(frozen=True)
class Found:
    """One picture that was found.

    Attributes:
        name: the path below the folder, within the tar file, or the table and row.
        clip: pictures of one clip show the same subject in the same place.
        total: how many there are in all; 0 where that is not known.
        load: decodes it; raises BadPictureError.
    """

    name: str
    clip: str
    total: int
    load: Callable[[], np.ndarray]


def find_pictures(where: str) -> Iterator[Found]:
    """All pictures of a place, in the order of their names.

    Args:
        where: a folder or ``s3://bucket/prefix`` of picture files, or else of .tar files (WebDataset) or .parquet
            tables; one such file; or a video. Behind a table or a folder of them, ``?image=COLUMN&clip=COLUMN``.

    Raises:
        ConfigError: an unknown option.
        DataError: a broken tar file, table or video.
        StorageError: storage cannot be read.
    """
    where, options = _options(where)
    lower = where.lower()
    if lower.endswith(VIDEOS):
        yield from _frames(where)
    elif lower.endswith(".tar"):
        yield from _members(where, "")
    elif lower.endswith(".parquet"):
        yield from _rows(where, options)
    else:
        store = open_store(where)
        keys = sorted(store.iter_keys())
        pictures = [key for key in keys if key.lower().endswith(SUFFIXES)]
        for key in pictures:
            yield Found(key, _clip(key), len(pictures), lambda key=key: decode(store.get(key)))
        if not pictures:
            for key in keys:
                if key.lower().endswith(".tar"):
                    yield from _members(f"{store.uri}/{key}", f"{key}/")
                elif key.lower().endswith(".parquet"):
                    yield from _rows(f"{store.uri}/{key}", options)


def _options(where: str) -> tuple[str, dict[str, str]]:
    path, _, query = where.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := next((name for name in options if name not in ("image", "clip")), None):
        raise ConfigError("--pictures", f"unknown option {unknown!r}", "the options are image and clip, of tables")
    return path, options


@contextmanager
def _opened(where: str) -> Iterator[BinaryIO]:
    """A file of this machine as it is, one of a bucket as a whole in memory."""
    if "://" not in where and Path(where).is_file():
        with open(where, "rb") as file:
            yield file
    else:
        store, key = locate(where)
        yield io.BytesIO(store.get(key))


def _members(where: str, prefix: str) -> Iterator[Found]:
    try:
        with _opened(where) as file, tarfile.open(fileobj=file, mode="r:") as tar:
            members = [m for m in tar.getmembers() if m.isfile() and m.name.lower().endswith(SUFFIXES)]
            total = 0 if prefix else len(members)
            for member in sorted(members, key=lambda m: m.name):
                content = tar.extractfile(member).read()
                name = f"{prefix}{member.name}"
                clip = _clip(member.name)
                yield Found(name, name if clip == member.name else f"{prefix}{clip}", total, partial(decode, content))
    except (tarfile.TarError, EOFError) as e:
        raise DataError(where, f"not a whole tar file: {e}", "copy it again") from e


def _rows(where: str, options: dict[str, str]) -> Iterator[Found]:
    try:
        with _opened(where) as file:
            table = pq.ParquetFile(file)
            columns = {field.name: field.type for field in table.schema_arrow}
            image, clip = _columns(where, columns, options)
            number, total = 0, table.metadata.num_rows
            for batch in table.iter_batches(ROWS, columns=[image, *([clip] if clip else [])]):
                clips = batch.column(clip).to_pylist() if clip else [None] * len(batch)
                for value, its_clip in zip(batch.column(image).to_pylist(), clips, strict=True):
                    number += 1
                    name = f"{PurePosixPath(where).name} row {number}"
                    if isinstance(value, dict):
                        name, value = value.get("path") or name, value["bytes"]
                    whose = name if its_clip is None else str(its_clip)
                    yield Found(name, whose, total, partial(decode, value or b""))
    except (pa.ArrowException, OSError) as e:
        raise DataError(where, f"not a readable table: {' '.join(str(e).split())[:200]}", "write it again") from e


def _columns(where: str, columns: dict[str, pa.DataType], options: dict[str, str]) -> tuple[str, str | None]:
    """The column of pictures, and the one of clips if there is one."""
    for name in options.values():
        if name not in columns:
            raise DataError(where, f"no column {name!r} there", f"the columns are {', '.join(columns)[:300]}")
    encoded = [name for name, kind in columns.items() if _holds_bytes(kind)]
    image = options.get("image") or ("image" if "image" in encoded else next(iter(encoded), None))
    if image not in encoded:
        problem = f"column {image!r} holds no pictures" if image else "no column of pictures"
        raise DataError(where, problem, "give one of encoded pictures (bytes, or bytes and path): ?image=COLUMN")
    return image, options.get("clip") or next((name for name in CLIPS if name in columns), None)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)


def _frames(where: str) -> Iterator[Found]:
    if not Path(where).is_file():
        raise StorageError(where, "no such video here", "give a file of this machine")
    video = cv2.VideoCapture(where)
    try:
        number = 0
        while True:
            whole, frame = video.read()
            if not whole:
                break
            number += 1
            name = Path(where).name
            yield Found(f"{name} frame {number}", name, 0, lambda f=frame: f[..., ::-1].copy())
        if not number:
            raise DataError(where, "no frame of this video can be read", "convert it to another format")
    finally:
        video.release()


def _clip(name: str) -> str:
    """The folder that a picture lies in; its own name where it lies in none."""
    folder = str(PurePosixPath(name).parent)
    return name if folder == "." else folder
