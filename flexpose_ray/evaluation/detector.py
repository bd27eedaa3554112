"""A detector on annotated pictures: its scores, beside those of the mean pose, and its predictions as files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.judging.keypoints import keypoint_scores
from flexpose_ray.models.detectors import Detector
from flexpose_ray.networks.pose_reader import Reading
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pictures import STUDIO, PictureSet, cut, decode, read_pictures, studio_at
from flexpose_ray.sources.preview import draw_skeleton
from flexpose_ray.sources.read import read_source
from flexpose_ray.storage.open import open_store
from flexpose_ray.studio.world import studio_poses
from flexpose_ray.text_table import text_table

EYES = {"face_68": (36, 45)}  # outer corners, whose distance normalises a face's error
COLUMNS = ("error", "corrected_error", "best_error", "flipped", "pck5", "pck10", "pck20", "best_pck10")
TILE, ACROSS = 160, 6  # of the sheet of predictions


@dataclass(frozen=True, eq=False)
class AnnotatedPictures:
    """Pictures cut to their poses' canvases: uint8 (N, 3, S, S), and the true poses."""

    pictures_N3SS: np.ndarray
    poses: PoseSet


def read_annotated(source: str, folder: str, size: int, mapping: str | None = None) -> AnnotatedPictures:
    """Annotated pictures of any source that names its pictures, or of the studio.

    Args:
        source: ``KIND:PATH``; ``synthetic:studio?part=test&count=N`` brings its pictures along.
        folder: where pictures are, by their names in the annotations, there or in ``images``.
        size: side of the cut pictures, pixels.
        mapping: as of :func:`~flexpose_ray.sources.read.read_source`.

    Raises:
        DataError: the source names no pictures, or one is missing or unreadable.
    """
    if source.partition("?")[0] == STUDIO:
        return AnnotatedPictures(read_pictures(source, size).pictures_N3SS, studio_poses(studio_at(source, size)))
    poses, report = read_source(source, mapping)
    if report.picture_N is None or not all(report.picture_N):
        raise DataError(source, "does not name the pictures of its poses", "give annotations that do, as COCO's")
    store, cuts = open_store(folder), []
    for name, crop_3 in zip(report.picture_N, poses.crop_N3, strict=True):
        key = next((k for k in (str(name), f"images/{name}", Path(str(name)).name) if store.exists(k)), None)
        if key is None:
            raise DataError(f"{folder}/{name}", "no such picture", "give the folder of the annotated ones: --pictures")
        try:
            picture = decode(store.get(key), upright=False)
        except ValueError as e:
            raise DataError(f"{folder}/{name}", str(e), "repair it, or drop its annotations") from e
        cuts.append(cut(picture, crop_3, size))
    return AnnotatedPictures(np.ascontiguousarray(np.stack(cuts).transpose(0, 3, 1, 2)), poses)


def evaluate(detector: Detector, annotated: AnnotatedPictures) -> list[dict]:
    """Scores of a detector, and of the mean of the poses that it was trained on.

    Returns:
        Rows with ``what`` ("detector", "mean pose", and each label of the pictures where there are several), ``count``
        and :func:`~flexpose_ray.judging.keypoints.keypoint_scores`.

    Raises:
        DataError: the pictures' poses have another skeleton.
    """
    poses, alpha = annotated.poses, detector.reader.alpha
    if poses.skeleton_name != alpha.skeleton_name:
        problem = f"its poses are {poses.skeleton.name}, the detector's {alpha.skeleton.name}"
        raise DataError("source", problem, "give pictures of the detector's skeleton")
    reading, eyes = detector.reader.read(annotated.pictures_N3SS), EYES.get(alpha.skeleton_name)

    def row(what: str, found_NJ2: np.ndarray, mask_N: np.ndarray, doubted_N: np.ndarray | None) -> dict:
        doubted_N = doubted_N if doubted_N is None else doubted_N[mask_N]
        given = found_NJ2[mask_N], poses.keypoints_NJ2[mask_N], alpha.skeleton.flip, doubted_N, eyes
        return {"what": what, "count": int(mask_N.sum()), **keypoint_scores(*given)}

    everything_N = np.ones(len(poses), bool)
    rows = [row("detector", reading.keypoints_NJ2, everything_N, reading.exchanged_N)]
    if "mean_pose" in detector.card:
        mean_NJ2 = np.tile(np.float32(detector.card["mean_pose"]), (len(poses), 1, 1))
        rows.append(row("mean pose", mean_NJ2, everything_N, None))
    labels = sorted(set(poses.label_N))
    if len(labels) > 1:
        rows += [row(n or "(none)", reading.keypoints_NJ2, poses.label_N == n, reading.exchanged_N) for n in labels]
    return rows


def format_scores(rows: list[dict], size: int) -> str:
    """The rows as a table; errors in percent of the picture's side, and what they are in pixels of ``size``."""
    head = ["", "pictures", *(column.replace("_", " ") for column in COLUMNS)]
    cells = [[row["what"], f"{row['count']:,}", *(_cell(row, column) for column in COLUMNS)] for row in rows]
    first = rows[0]
    note = f"errors in % of the side; the detector's is {first['error'] * size:.2f} pixels of {size}"
    nme = f", NME {100 * first['nme']:.2f}%" if "nme" in first else ""
    return f"{text_table([head, *cells])}\n{note}, {first['best_error'] * size:.2f} with the better of both sides{nme}"


def _cell(row: dict, column: str) -> str:
    return f"{100 * row[column]:.2f}" if column in row else ""


def predictions(detector: Detector, pictures: PictureSet, reading: Reading) -> str:
    """COCO JSON of what a detector found, in the pixels of the files, with confidences as ``scores``."""
    skeleton = detector.reader.alpha.skeleton
    points_NJ2 = uncrop(reading.keypoints_NJ2, pictures.place_N3)
    images = [
        {"id": i, "file_name": str(name), "width": int(w), "height": int(h)}
        for i, (name, (w, h)) in enumerate(zip(pictures.name_N, pictures.size_N2, strict=True), 1)
    ]
    annotations = []
    for i, (points_J2, confidence_J) in enumerate(zip(points_NJ2, reading.confidence_NJ, strict=True), 1):
        low, high = points_J2.min(0), points_J2.max(0)
        (x, y), (w, h) = ([round(float(v), 2) for v in pair] for pair in (low, high - low))
        annotations.append(
            {
                "id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": skeleton.n_joints,
                "keypoints": [v for px, py in points_J2 for v in (round(float(px), 2), round(float(py), 2), 2)],
                "bbox": [x, y, w, h], "area": round(w * h, 2), "score": round(float(confidence_J.mean()), 4),
                "scores": [round(float(c), 4) for c in confidence_J],
            }
        )  # fmt: skip
    limbs = [[a + 1, b + 1] for a, b in skeleton.limbs]
    category = {"id": 1, "name": skeleton.category, "keypoints": list(skeleton.joints), "skeleton": limbs}
    info = {"description": "keypoints found by flexpose_ray", "detector": detector.digest}
    return json.dumps({"info": info, "images": images, "annotations": annotations, "categories": [category]})


def sheet(detector: Detector, pictures: PictureSet, reading: Reading, count: int = 24) -> np.ndarray:
    """Pictures with what was found drawn over them, evenly spread over the set: uint8 (H, W, 3), BGR."""
    rows = np.unique(np.linspace(0, len(pictures) - 1, min(count, len(pictures))).astype(int))
    page = np.full((TILE * -(-len(rows) // ACROSS), TILE * min(ACROSS, len(rows)), 3), 255, np.uint8)
    for k, row in enumerate(rows):
        picture = np.ascontiguousarray(pictures.pictures_N3SS[row].transpose(1, 2, 0)[..., ::-1])
        tile = cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_LINEAR)
        draw_skeleton(tile, reading.keypoints_NJ2[row] * TILE, detector.reader.alpha.skeleton)
        y, x = divmod(k, ACROSS)
        page[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = tile
    return page
