"""From the bytes of one picture to a square of pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

import cv2
import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.storage.open import open_store

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif")
MOST_PIXELS = 1 << 28
MASK_AT = 127  # a mask's brighter pixels are the subject
PNG = b"\x89PNG\r\n\x1a\n"
ENDS = {b"\xff\xd8": b"\xff\xd9", PNG: b"IEND"}  # how a kind of file begins, and what it holds if it is whole

# What is wrong with a picture is told by an error, or counted; OpenCV would print it for every one of thousands.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class BadPictureError(ValueError):
    """Why one picture cannot be used."""


def decode(data: bytes, upright: bool = True) -> np.ndarray:
    """An encoded picture as uint8 RGB, whatever its channels and depth; ``upright``: turned as its EXIF says.

    Raises:
        BadPictureError: it is cut off, damaged, empty or too large.
    """
    for start, end in ENDS.items():
        if data.startswith(start) and end not in data:
            raise BadPictureError("cut off")
    if data.startswith(PNG) and not _png_is_sound(data):
        raise BadPictureError("damaged")
    mode = cv2.IMREAD_COLOR if upright else cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), mode) if data else None
    except cv2.error as e:
        raise BadPictureError("too large" if "PIXELS" in str(e) else "damaged") from e
    if picture is None:
        raise BadPictureError("no picture" if data else "empty")
    if picture.size > 3 * MOST_PIXELS:
        raise BadPictureError("too large")
    return np.ascontiguousarray(picture[..., ::-1])


def _png_is_sound(data: bytes) -> bool:
    """Whether a PNG's parts are whole, and the checksums right of those that a picture needs.

    Of wrong ones libpng tells on standard error, and OpenCV cannot silence it.
    """
    at, kind = len(PNG), b""
    while kind != b"IEND":
        kind, body = data[at + 4 : at + 8], at + 8 + int.from_bytes(data[at : at + 4])
        if body + 4 > len(data):
            return False
        needed = kind[:1].isupper()  # others may be broken: they are left out
        if needed and zlib.crc32(data[at + 4 : body]) != int.from_bytes(data[body : body + 4]):
            return False
        at = body + 4
    return True


def to_square(picture_HW3: np.ndarray, size: int) -> tuple[np.ndarray, tuple[float, float, float]]:
    """A picture shrunk or enlarged whole to the middle of a black square.

    Returns:
        The square, uint8 (size, size, 3); and its place (scale, offset_x, offset_y): crop units times scale, plus
        offset, are the picture's pixels.
    """
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


@dataclass
class Masks:
    """A folder of masks, by their names without suffix.

    Attributes:
        folder: URI; ``FOLDER?PICTURES=MASKS`` where pictures and masks lie in folders of these names within it.

    Raises:
        DataError: there are none.
    """

    folder: str

    def __post_init__(self):
        self.folder, _, renamed = self.folder.partition("?")
        self.of_pictures, _, self.of_masks = renamed.partition("=")
        self.store = open_store(self.folder)
        self.keys = {_stem(key): key for key in self.store.iter_keys() if key.lower().endswith(SUFFIXES)}
        if not self.keys:
            raise DataError(self.folder, "no masks", "give a folder with one for every picture, of the same name")

    def apply(self, name: str, picture_HW3: np.ndarray) -> np.ndarray:
        """A picture of that name with all but its subject black.

        Raises:
            BadPictureError: no mask of that name, an unreadable one, or one of another size.
        """
        parts = [self.of_masks if part == self.of_pictures else part for part in PurePosixPath(name).parts]
        key = self.keys.get(_stem(str(PurePosixPath(*parts))))
        if key is None:
            raise BadPictureError(f"no mask in {self.folder}")
        mask = decode(self.store.get(key))[..., 0]
        if mask.shape != picture_HW3.shape[:2]:
            raise BadPictureError(f"its mask is {mask.shape[1]}x{mask.shape[0]}")
        return picture_HW3 * (mask > MASK_AT)[..., None].astype(np.uint8)


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
