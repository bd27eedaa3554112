"""Pictures without annotations, read into rows of one size.

Each picture shows one subject. It is shrunk whole to a square, its longer side filling it, the rest black; ``places``
keep the way back. Pictures of one folder (in a tar file: of one folder there; of a video: all; of a table: by a column)
are one clip, which shows the same subject in the same place; others stand alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pictures.decoding import SUFFIXES, BadPictureError, Masks, to_square
from flexpose_ray.pictures.places import Found, find_pictures
from flexpose_ray.pictures.rows import BLOCK, PictureRows
from flexpose_ray.sources.motions import read_motions
from flexpose_ray.studio.options import parse_studio
from flexpose_ray.studio.world import Studio, film, shots

STUDIO = "synthetic:studio"
MAX_BAD = 0.01  # of the pictures may be unreadable
SHOWN = 5  # unreadable pictures that an error names
READERS = 16  # pictures that are fetched and decoded at a time; they wait for storage, mostly

Progress = Callable[[int, int], None]


@dataclass(eq=False)
class PictureSet:
    """Pictures of one size, row by row.

    Attributes:
        pictures_N3SS: uint8, RGB; on disk.
        name_N: str; the path below the folder, or the clip and frame.
        clip_N: str.
        place_N3: float32 (scale, offset_x, offset_y): crop units times scale, plus offset, are the file's pixels.
        size_N2: int; width and height of the file, pixels.
        bad: names of pictures that could not be read, and why.
    """

    pictures_N3SS: PictureRows
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
    """Read all pictures; however many, few are in memory at a time.

    Args:
        where: as of :func:`~flexpose_ray.pictures.places.find_pictures`, or
            ``synthetic:studio?part=pictures&count=N``.
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
    maskings = Masks(masks) if masks else None

    def load(found: Found) -> tuple:
        try:
            picture_HW3 = found.load()
            if maskings is not None:
                picture_HW3 = maskings.apply(found.name, picture_HW3)
            return found, *to_square(picture_HW3, size), picture_HW3.shape[1::-1]
        except BadPictureError as e:
            return found, str(e)

    rows, about, bad, squares = PictureRows(size), [], [], []
    for done, (found, *result) in enumerate(_in_order(load, find_pictures(where)), 1):
        if len(result) == 1:
            bad.append((found.name, result[0]))
        else:
            square, *place = result
            squares.append(square)
            about.append((found.name, found.clip, *place))
        if len(squares) == BLOCK:
            rows.append(np.stack(squares).transpose(0, 3, 1, 2))
            squares.clear()
        on_progress(done, found.total)
    if squares:
        rows.append(np.stack(squares).transpose(0, 3, 1, 2))
    if not about and not bad:
        kinds = ", ".join(SUFFIXES)
        raise DataError(
            where, "no pictures", f"give a folder of files that end in {kinds}, or of .tar or .parquet files"
        )
    if len(bad) > max_bad * (len(about) + len(bad)):
        named = "; ".join(f"{name}: {why}" for name, why in bad[:SHOWN])
        problem = f"{len(bad)} of {len(about) + len(bad)} pictures cannot be read: {named}"
        way_out = f"repair or remove them, or let more pass with --max-bad {_above(len(bad), len(about))}"
        raise DataError(where, problem, way_out)
    names, clips, places, sizes = zip(*about, strict=True)
    return PictureSet(rows, np.array(names), np.array(clips), np.array(places, np.float32), np.array(sizes), bad)


def _in_order(load: Callable[[Found], tuple], places: Iterator[Found]) -> Iterator[tuple]:
    """``map(load, places)`` by several threads, a few pictures ahead."""
    with ThreadPoolExecutor(READERS) as pool:
        ahead: deque = deque()
        for place in places:
            ahead.append(pool.submit(load, place))
            if len(ahead) > 2 * READERS:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def studio_at(where: str, size: int) -> Studio:
    """The studio whose pictures ``where`` names; without a part, those to learn from."""
    given = dict(parse_qsl(where.partition("?")[2], keep_blank_values=True))
    return parse_studio({"part": "pictures"} | given | {"size": str(size)}, where, read_motions)


def _of_studio(where: str, size: int) -> PictureSet:
    studio = studio_at(where, size)
    clips, rows, names = shots(studio), PictureRows(size), []
    for clip in clips:
        images_NHW3 = film(studio, clip).images_NHW3
        rows.append(images_NHW3.transpose(0, 3, 1, 2))
        names += [f"{clip.name}/{i:02d}" for i in range(len(images_NHW3))]
    clip_N = np.array([name.partition("/")[0] for name in names])
    place_N3 = np.tile(np.float32([studio.size, 0, 0]), (len(names), 1))
    return PictureSet(rows, np.array(names), clip_N, place_N3, np.full((len(names), 2), studio.size))


def _above(bad: int, good: int) -> float:
    """A share, in hundredths, that lets all bad ones pass."""
    return min(1.0, -(-100 * bad // (bad + good)) / 100)
