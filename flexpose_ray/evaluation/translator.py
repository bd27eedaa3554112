"""Pictures that a translator paints of poses: written with their annotations, shown, and judged by a detector."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from flexpose_ray.canonical import canonical_text
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.evaluation.detector import score, score_mean_pose
from flexpose_ray.export.coco_keypoints import keypoints_json
from flexpose_ray.models.detectors import Detector
from flexpose_ray.models.translators import StoredTranslator
from flexpose_ray.networks.translator import PAINT_BATCH
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.base import Store

ANNOTATIONS = "annotations.json"
TASK = "task.json"  # which translator paints which poses
WRITERS = 16  # pictures that are written at a time; they wait for storage, mostly
SHOWN = 12  # of the sheet


def check_poses(translator: StoredTranslator, poses: PoseSet) -> None:
    """Check that poses are of the translator's skeleton.

    Raises:
        ConfigError: they are not.
    """
    alpha = translator.painter.alpha
    if poses.skeleton_name != alpha.skeleton_name:
        problem = f"poses of {poses.skeleton.name}, the translator's are {alpha.skeleton.name}"
        raise ConfigError("--poses", problem, "give poses of its skeleton")


def write_pictures(
    translator: StoredTranslator,
    poses: PoseSet,
    store: Store,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[str, int]:
    """Paint every pose: ``images/NUMBER.png``, and ``annotations.json`` (COCO) last.

    A second call paints what is missing, to the same bytes.

    Args:
        translator: paints.
        poses: of its skeleton.
        store: the folder to fill; holds nothing, or what the same call left.
        on_progress: takes (pictures there, pictures in all).

    Returns:
        Address of the annotations, and how many pictures were painted now.

    Raises:
        ConfigError: poses of another skeleton, or a folder that holds something else.
        StorageError: storage that cannot be written.
    """
    check_poses(translator, poses)
    size, count, painted = translator.settings.size, len(poses), 0
    names = [f"images/{i:08d}.png" for i in range(1, count + 1)]
    there = _there(store, translator, poses)

    def write(key: str, picture_HW3: np.ndarray) -> None:
        store.put(key, _png(picture_HW3))

    with ThreadPoolExecutor(WRITERS) as pool:
        for start in range(0, count, PAINT_BATCH):  # in the batches of an unbroken call, on which last bits depend
            keys = names[start : start + PAINT_BATCH]
            rows = [row for row, key in enumerate(keys) if key not in there]
            if not rows:
                continue
            _, pictures_NHW3 = next(translator.painter.paint(poses.keypoints_NJ2[start : start + PAINT_BATCH]))
            list(pool.map(write, [keys[row] for row in rows], pictures_NHW3[rows]))
            painted += len(rows)
            on_progress(start + len(keys), count)
    if painted or ANNOTATIONS not in there:
        info = {"description": "pictures painted by flexpose_ray of poses", "translator": translator.digest}
        skeleton = translator.painter.alpha.skeleton
        pixels_NJ2, size_N2 = poses.keypoints_NJ2 * size, np.full((count, 2), size)
        store.put(ANNOTATIONS, keypoints_json(names, size_N2, pixels_NJ2, skeleton, info).encode())
    return f"{store.uri}/{ANNOTATIONS}", painted


def _there(store: Store, translator: StoredTranslator, poses: PoseSet) -> set[str]:
    """Names of what the same call has written; says first in an empty folder what will be written.

    Raises:
        ConfigError: the folder holds something else.
    """
    poses_hash = hashlib.sha256(np.ascontiguousarray(poses.keypoints_NJ2).tobytes()).hexdigest()[:16]
    task = canonical_text({"translator": translator.digest, "poses": len(poses), "poses_hash": poses_hash}).encode()
    there, way_out = set(store.iter_keys()), "choose another folder, or empty this one"
    if there and TASK not in there:
        raise ConfigError("--out", f"{store.uri} holds {min(there)}", way_out)
    if not store.put_if_absent(TASK, task) and store.get(TASK) != task:
        raise ConfigError("--out", f"{store.uri} holds pictures by another translator or of other poses", way_out)
    return there


def judge_pictures(translator: StoredTranslator, detector: Detector, poses: PoseSet) -> list[dict]:
    """How near a detector finds the poses that pictures were painted of, and how near their mean would be.

    Returns:
        Two rows as of :func:`~flexpose_ray.evaluation.detector.evaluate`: "painted" and "mean pose".

    Raises:
        ConfigError: poses of another skeleton than the translator's.
        DataError: a detector of another skeleton.
    """
    check_poses(translator, poses)
    if detector.reader.alpha.skeleton_name != poses.skeleton_name:
        problem = f"it reads {detector.reader.alpha.skeleton.name}, the poses are {poses.skeleton.name}"
        raise DataError("--detector", problem, "give a detector of the translator's skeleton")
    found, doubted, side = [], [], detector.settings.size
    for _, pictures_NHW3 in translator.painter.paint(poses.keypoints_NJ2):
        fitted = [cv2.resize(p, (side, side), interpolation=cv2.INTER_AREA) for p in pictures_NHW3]
        reading = detector.reader.read(np.ascontiguousarray(np.stack(fitted).transpose(0, 3, 1, 2)))
        found.append(reading.keypoints_NJ2)
        doubted.append(reading.exchanged_N)
    rows = [score("painted", np.concatenate(found), poses, np.concatenate(doubted))]
    return [*rows, score_mean_pose(poses.keypoints_NJ2.mean(0), poses)]


def translator_sheet(translator: StoredTranslator, poses: PoseSet) -> np.ndarray:
    """Skeletons above the pictures painted of them: uint8 (H, W, 3), BGR."""
    rows_N = np.unique(np.linspace(0, len(poses) - 1, min(SHOWN, len(poses))).astype(int))
    drawn_NHWC, pictures_NHW3 = next(translator.painter.paint(poses.keypoints_NJ2[rows_N]))
    lines = [
        np.concatenate([np.broadcast_to(x, (*x.shape[:2], 3)) for x in row], 1) for row in (drawn_NHWC, pictures_NHW3)
    ]
    return cv2.resize(np.concatenate(lines)[..., ::-1], None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)


def _png(picture_HW3: np.ndarray) -> bytes:
    return cv2.imencode(".png", picture_HW3[..., ::-1])[1].tobytes()
