"""A detector on annotated pictures: its scores, beside those of the mean pose, and its predictions as files."""

from __future__ import annotations

import cv2
import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.export.coco_keypoints import keypoints_json
from flexpose_ray.judging.keypoints import keypoint_scores
from flexpose_ray.models.detectors import Detector
from flexpose_ray.networks.picture_reader import Reading
from flexpose_ray.pictures.annotated import AnnotatedPictures
from flexpose_ray.pictures.read import PictureSet
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.preview import draw_skeleton
from flexpose_ray.text_table import text_table

EYES = {"face_68": (36, 45)}  # outer corners, whose distance normalises a face's error
COLUMNS = ("error", "corrected_error", "best_error", "flipped", "pck5", "pck10", "pck20", "best_pck10")
TILE, ACROSS = 160, 6  # of the sheet of predictions


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
    reading = detector.reader.read(annotated.pictures_N3SS)
    found_NJ2, doubted_N = reading.keypoints_NJ2, reading.exchanged_N
    rows = [score("detector", found_NJ2, poses, doubted_N)]
    if "mean_pose" in detector.card:
        rows.append(score_mean_pose(np.float32(detector.card["mean_pose"]), poses))
    labels = sorted(set(poses.label_N))
    if len(labels) > 1:
        for label in labels:
            its_N = poses.label_N == label
            rows.append(score(label or "(none)", found_NJ2[its_N], poses.take(its_N), doubted_N[its_N]))
    return rows


def score(what: str, found_NJ2: np.ndarray, poses: PoseSet, doubted_N: np.ndarray | None = None) -> dict:
    """A row of :func:`evaluate`: ``found_NJ2`` against the true poses, sides exchanged where they are doubted."""
    skeleton = poses.skeleton
    scores = keypoint_scores(found_NJ2, poses.keypoints_NJ2, skeleton.flip, doubted_N, EYES.get(skeleton.name))
    return {"what": what, "count": len(poses), **scores}


def score_mean_pose(mean_J2: np.ndarray, poses: PoseSet) -> dict:
    """The row of one pose for every picture, which a detector has to beat."""
    return score("mean pose", np.tile(np.float32(mean_J2), (len(poses), 1, 1)), poses)


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
    points_NJ2 = uncrop(reading.keypoints_NJ2, pictures.place_N3)
    info = {"description": "keypoints found by flexpose_ray", "detector": detector.digest}
    skeleton = detector.reader.alpha.skeleton
    return keypoints_json(pictures.name_N, pictures.size_N2, points_NJ2, skeleton, info, reading.confidence_NJ)


def sheet(detector: Detector, pictures_N3SS: np.ndarray, reading: Reading, count: int = 24) -> np.ndarray:
    """Pictures with what was found drawn over them, evenly spread over the set: uint8 (H, W, 3), BGR."""
    rows = np.unique(np.linspace(0, len(pictures_N3SS) - 1, min(count, len(pictures_N3SS))).astype(int))
    page = np.full((TILE * -(-len(rows) // ACROSS), TILE * min(ACROSS, len(rows)), 3), 255, np.uint8)
    for k, row in enumerate(rows):
        picture = np.ascontiguousarray(pictures_N3SS[int(row)].transpose(1, 2, 0)[..., ::-1])
        tile = cv2.resize(picture, (TILE, TILE), interpolation=cv2.INTER_LINEAR)
        draw_skeleton(tile, reading.keypoints_NJ2[row] * TILE, detector.reader.alpha.skeleton)
        y, x = divmod(k, ACROSS)
        page[y * TILE : (y + 1) * TILE, x * TILE : (x + 1) * TILE] = tile
    return page
