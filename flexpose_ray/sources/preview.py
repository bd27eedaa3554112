"""A sheet of skeletons over their pictures, so that a wrong mapping is seen at once."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.geometry import CROP_FILL, uncrop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import Skeleton
from flexpose_ray.storage.open import locate

TILE = 240  # pixels
COLUMNS, ROWS = 6, 4
MARGIN = 1.25  # of the person's box, around which the picture is cut
LEFT, RIGHT, MIDDLE = (60, 110, 255), (255, 160, 40), (90, 200, 90)  # blue, green, red: orange, blue, green
PAPER, INK = (255, 255, 255), (60, 60, 60)
MOST_PIXELS = 1 << 28
SUFFIXES = (".png", ".jpg", ".jpeg")


def write_preview(uri: str, poses: PoseSet, picture_N: np.ndarray | None, folder: Path, seed: int = 0) -> int:
    """Draw up to 24 poses, drawn by ``seed``, and write the sheet.

    Left limbs are orange, right ones blue, others green. Poses whose picture is found lie over it, the others on a
    plain canvas; the label stands in the corner.

    Args:
        uri: a .png or .jpg, in a folder or under ``s3://``.
        poses: any skeleton.
        picture_N: the poses' pictures, "" where unknown; None: all unknown.
        folder: where pictures are looked for, by their name in the annotations, there and in ``images``.

    Returns:
        How many lie over their pictures.

    Raises:
        ConfigError: ``uri`` is no picture's name.
        StorageError: storage cannot be written.
    """
    suffix = Path(uri).suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"preview {uri!r}", "a preview is a picture", f"let its name end in {', '.join(SUFFIXES)}")
    chosen = np.sort(np.random.default_rng(seed).permutation(len(poses))[: COLUMNS * ROWS])
    sheet, found = np.full((TILE * -(-len(chosen) // COLUMNS), TILE * COLUMNS, 3), 255, np.uint8), 0
    for k, row in enumerate(chosen):
        picture = _picture(folder, str(picture_N[row])) if picture_N is not None else None
        tile = _tile(poses.take(np.array([row])), picture)
        y, x = divmod(k, COLUMNS)
        sheet[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = tile
        found += picture is not None
    store, name = locate(uri)
    store.put(name, cv2.imencode(suffix, sheet)[1].tobytes())
    return found


def _tile(pose: PoseSet, picture: np.ndarray | None) -> np.ndarray:
    """One pose, uint8 (TILE, TILE, 3)."""
    scale, x0, y0 = (float(v) for v in pose.crop_N3[0])
    side = scale * CROP_FILL * MARGIN
    corner_2 = np.array([x0, y0]) + (scale - side) / 2
    zoom = (TILE - 1) / side
    tile = np.full((TILE, TILE, 3), PAPER, np.uint8)
    if picture is not None:
        to_tile = np.array([[zoom, 0, -corner_2[0] * zoom], [0, zoom, -corner_2[1] * zoom]])
        tile = cv2.warpAffine(picture, to_tile, (TILE, TILE), flags=cv2.INTER_AREA, borderValue=(200, 200, 200))
    points_J2 = (uncrop(pose.keypoints_NJ2, pose.crop_N3)[0] - corner_2) * zoom
    draw_skeleton(tile, points_J2, pose.skeleton)
    label = str(pose.label_N[0])[:30].encode("ascii", "replace").decode()
    cv2.putText(tile, label, (4, TILE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.4, INK, 1, cv2.LINE_AA)
    cv2.rectangle(tile, (0, 0), (TILE - 1, TILE - 1), (225, 225, 225))
    return tile


def draw_skeleton(tile: np.ndarray, points_J2: np.ndarray, skeleton: Skeleton) -> None:
    """Draw limbs in the colours of their sides into a uint8 picture; points in its pixels."""
    points_J2 = np.rint(points_J2.clip(-10_000, 10_000)).astype(int)
    for a, b in skeleton.limbs:
        color = side_color(skeleton, b if skeleton.flip[b] != b else a)
        cv2.line(tile, points_J2[a].tolist(), points_J2[b].tolist(), color, 2, cv2.LINE_AA)
    for j, point_2 in enumerate(points_J2):
        cv2.circle(tile, point_2.tolist(), 2, side_color(skeleton, j), -1, cv2.LINE_AA)


def side_color(skeleton: Skeleton, joint: int) -> tuple[int, int, int]:
    """The colour of a joint's side; of mirrored joints without a side in their names the first counts as left."""
    other = skeleton.flip[joint]
    if other == joint:
        return MIDDLE
    name = skeleton.joints[joint].lower()
    is_left = "left" in name or ("right" not in name and joint < other)
    return LEFT if is_left else RIGHT


def _picture(folder: Path, name: str) -> np.ndarray | None:
    """A picture in the annotations' coordinates, so without turning it as its EXIF says; None if there is none."""
    for path in (folder / name, folder / "images" / name, folder / Path(name).name) if name else ():
        if path.is_file():
            try:
                picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
            except cv2.error:  # larger than it takes
                return None
            return picture if picture is not None and picture.size <= MOST_PIXELS else None
    return None
