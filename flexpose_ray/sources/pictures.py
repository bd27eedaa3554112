"""Pictures without annotations: from a folder or a bucket, a tar file, a video, or the studio.

Each picture shows one subject. It is shrunk whole to a square, its longer side filling it, the rest black; ``places``
keep the way back. Pictures of one folder (in a tar: of one folder there; of a video: all) are one clip, which shows
the same subject in the same place; pictures beside the folders stand alone.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qsl

import cv2
import numpy as np

from flexpose_ray.errors import DataError, StorageError
from flexpose_ray.storage.open import locate, open_store
from flexpose_ray.studio.options import parse_studio
from flexpose_ray.studio.world import Studio, film, shots

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
STUDIO = "synthetic:studio"
MAX_BAD = 0.01  # of the pictures may be unreadable
MOST_PIXELS = 1 << 28
SHOWN = 5  # unreadable pictures that an error names
MASK_AT = 127  # a mask's brighter pixels are the subject
ENDS = {b"\xff\xd8": b"\xff\xd9", b"\x89PNG": b"IEND"}  # how a kind of file begins, and what it holds if it is whole

Progress = Callable[[int, int], None]


@dataclass(eq=False)
class PictureSet:
    """Pictures of one size, row by row.

    Attributes:
        pictures_N3SS: uint8, RGB.
        name_N: str; the path below the folder, or the clip and frame.
        clip_N: str.
        place_N3: float32 (scale, offset_x, offset_y): crop units times scale, plus offset, are the file's pixels.
        size_N2: int; width and height of the file, pixels.
        bad: names of pictures that could not be read, and why.
    """

    pictures_N3SS: np.ndarray
    name_N: np.ndarray
    clip_N: np.ndarray
    place_N3: np.ndarray
    size_N2: np.ndarray
    bad: list[tuple[str, str]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.name_N)


def read_pictures(
    where: str,
    size: int,
    masks: str | None = None,
    max_bad: float = MAX_BAD,
    on_progress: Progress = lambda done, total: None,
) -> PictureSet:
    """Read all pictures.

    Args:
        where: a folder, ``s3://bucket/prefix``, a .tar file, a video, or ``synthetic:studio?part=pictures&count=N``.
        size: side of the squares, pixels.
        masks: a folder with a mask for every picture, of the same name (any suffix); all but the subject becomes black.
        max_bad: share of unreadable pictures that are counted and left out.
        on_progress: takes (pictures read, pictures in all; 0 where that is not known).

    Returns:
        The pictures, in the order of their names.

    Raises:
        DataError: no pictures, or more unreadable ones than ``max_bad`` allows; it names the first.
        StorageError: storage cannot be read.
    """
    if where.partition("?")[0] == STUDIO:
        return _of_studio(where, size)
    rows, bad = [], []
    maskings = Masks(masks) if masks else None
    for done, (name, clip, total, load) in enumerate(_files(where), 1):
        try:
            picture_HW3 = load()
            if maskings is not None:
                picture_HW3 = maskings.apply(name, picture_HW3)
            rows.append((name, clip, *to_square(picture_HW3, size), picture_HW3.shape[1::-1]))
        except _BadPictureError as e:
            bad.append((name, str(e)))
        on_progress(done, total)
    if not rows and not bad:
        raise DataError(where, "no pictures", f"give a folder of files that end in {', '.join(SUFFIXES)}")
    if len(bad) > max_bad * (len(rows) + len(bad)):
        named = "; ".join(f"{name}: {why}" for name, why in bad[:SHOWN])
        problem = f"{len(bad)} of {len(rows) + len(bad)} pictures cannot be read: {named}"
        raise DataError(where, problem, f"repair or remove them, or let more pass with --max-bad {_above(bad, rows)}")
    names, clips, squares, places, sizes = zip(*rows, strict=True)
    pictures_N3SS = np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2))
    return PictureSet(
        pictures_N3SS, np.array(names), np.array(clips), np.array(places, np.float32), np.array(sizes), bad
    )


def to_square(picture_HW3: np.ndarray, size: int) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A picture shrunk or enlarged whole to the middle of a black square, and its place as in :class:`PictureSet`."""
    height, width = picture_HW3.shape[:2]
    scale = max(height, width)
    h, w = (max(1, round(side * size / scale)) for side in (height, width))
    inner = cv2.resize(picture_HW3, (w, h), interpolation=cv2.INTER_AREA if scale > size else cv2.INTER_LINEAR)
    square = np.zeros((size, size, 3), np.uint8)
    top, left = (size - h) // 2, (size - w) // 2
    square[top : top + h, left : left + w] = inner
    return square, (scale, -left * scale / size, -top * scale / size)


def cut(picture_HW3: np.ndarray, crop_3: np.ndarray, size: int) -> np.ndarray:
    """The part of a picture that the canvas of a pose covers; black beyond its edge.

    Args:
        picture_HW3: uint8.
        crop_3: (scale, offset_x, offset_y) of the pose, in the picture's pixels.
    """
    scale, x, y = (float(v) for v in crop_3)
    shrink = max(1.0, scale / size / 2)  # area first, or pixels between the samples would not count
    if shrink > 1:
        small = tuple(max(1, round(side / shrink)) for side in picture_HW3.shape[1::-1])
        picture_HW3 = cv2.resize(picture_HW3, small, interpolation=cv2.INTER_AREA)
    zoom = size / scale * shrink
    to_canvas = np.array([[zoom, 0, -x * size / scale + (zoom - 1) / 2], [0, zoom, -y * size / scale + (zoom - 1) / 2]])
    return cv2.warpAffine(picture_HW3, to_canvas, (size, size), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))


def decode(data: bytes, upright: bool = True) -> np.ndarray:
    """An encoded picture as uint8 RGB, whatever its channels and depth; ``upright``: turned as its EXIF says.

    Raises:
        ValueError: it is cut off, damaged, empty or too large.
    """
    for start, end in ENDS.items():
        if data.startswith(start) and end not in data:
            raise _BadPictureError("cut off")
    mode = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    except cv2.error as e:
        raise _BadPictureError("too large" if "PIXELS" in str(e) else "damaged") from e
    if picture is None:
        raise _BadPictureError("no picture" if data else "empty")
    if picture.size > 3 * MOST_PIXELS:
        raise _BadPictureError("too large")
    return np.ascontiguousarray(picture[..., ::-1])


class _BadPictureError(ValueError):
    """Why one picture cannot be used."""


@dataclass
class Masks:
    """A folder of masks, by their names without suffix.

    Raises:
        DataError: there are none.
    """

    folder: str

    def __post_init__(self):
        self.store = open_store(self.folder)
        self.keys = {_stem(key): key for key in self.store.iter_keys() if key.lower().endswith(SUFFIXES)}
        if not self.keys:
            raise DataError(self.folder, "no masks", "give a folder with one for every picture, of the same name")

    def apply(self, name: str, picture_HW3: np.ndarray) -> np.ndarray:
        """A picture of that name with all but its subject black.

        Raises:
            ValueError: no mask of that name, an unreadable one, or one of another size.
        """
        key = self.keys.get(_stem(name))
        if key is None:
            raise _BadPictureError(f"no mask in {self.folder}")
        mask = decode(self.store.get(key))[..., 0]
        if mask.shape != picture_HW3.shape[:2]:
            raise _BadPictureError(f"its mask is {mask.shape[1]}x{mask.shape[0]}")
        return picture_HW3 * (mask > MASK_AT)[..., None].astype(np.uint8)


def _files(where: str) -> Iterator[tuple[str, str, int, Callable[[], np.ndarray]]]:
    """Name, clip, number in all, and what loads it, of every picture."""
    if where.lower().endswith(VIDEOS):
        yield from _frames(where)
    elif where.lower().endswith(".tar"):
        yield from _members(where)
    else:
        store = open_store(where)
        keys = [key for key in store.list() if key.lower().endswith(SUFFIXES)]
        for key in keys:
            yield key, _clip(key), len(keys), lambda key=key: decode(store.get(key))


def _members(where: str) -> Iterator[tuple[str, str, int, Callable[[], np.ndarray]]]:
    store, key = locate(where)
    data = store.get(key)
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
            members = [m for m in tar.getmembers() if m.isfile() and m.name.lower().endswith(SUFFIXES)]
            for member in sorted(members, key=lambda m: m.name):
                content = tar.extractfile(member).read()
                yield member.name, _clip(member.name), len(members), lambda content=content: decode(content)
    except (tarfile.TarError, EOFError) as e:
        raise DataError(where, f"not a whole tar file: {e}", "copy it again") from e


def _frames(where: str) -> Iterator[tuple[str, str, int, Callable[[], np.ndarray]]]:
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
            yield f"{Path(where).name} frame {number}", Path(where).name, 0, lambda f=frame: f[..., ::-1].copy()
        if not number:
            raise DataError(where, "no frame of this video can be read", "convert it to another format")
    finally:
        video.release()


def studio_at(where: str, size: int) -> Studio:
    """The studio whose pictures ``where`` names; without a part, those to learn from."""
    given = dict(parse_qsl(where.partition("?")[2], keep_blank_values=True))
    return parse_studio({"part": "pictures"} | given | {"size": str(size)}, where)


def _of_studio(where: str, size: int) -> PictureSet:
    studio = studio_at(where, size)
    clips = shots(studio)
    seen = [film(studio, clip) for clip in clips]
    lengths = [len(s.images_NHW3) for s in seen]
    clip_N = np.repeat([clip.name for clip in clips], lengths)
    name_N = np.array([f"{clip.name}/{i:02d}" for clip, n in zip(clips, lengths, strict=True) for i in range(n)])
    pictures_N3SS = np.ascontiguousarray(np.concatenate([s.images_NHW3 for s in seen]).transpose(0, 3, 1, 2))
    place_N3 = np.tile(np.float32([studio.size, 0, 0]), (len(name_N), 1))
    return PictureSet(pictures_N3SS, name_N, clip_N, place_N3, np.full((len(name_N), 2), studio.size))


def _clip(name: str) -> str:
    """The folder that a picture lies in; its own name where it lies in none."""
    folder = str(PurePosixPath(name).parent)
    return name if folder == "." else folder


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _above(bad: list, rows: list) -> float:
    """A share, in hundredths, that lets all bad ones pass."""
    return min(1.0, -(-100 * len(bad) // (len(bad) + len(rows))) / 100)
