"""A detector for every row, draw and seed: trained on the row's poses and on pictures that nobody annotated.

Two rows are no method's: the mean of the target's poses, and the supervised twin, which sees the truth of the pictures
that the others learn from. On storage beside the cells:

    priors/PAIR/ROW-DRAW.parquet            the poses that a row's detectors learn from
    detectors/PAIR/ROW-DRAW-SEED.json       scores of a detector, or why it failed
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from flexpose_ray.config import config_hash
from flexpose_ray.config.benchmark import MEAN_POSE, SUPERVISED, PairConfig
from flexpose_ray.config.pictures import detector_settings
from flexpose_ray.engine.benchmark.cell import Cell
from flexpose_ray.engine.detect.stage import annotated, read_recipe_pictures
from flexpose_ray.evaluation.detector import evaluate, score_mean_pose
from flexpose_ray.models.detectors import Detector
from flexpose_ray.pictures.annotated import AnnotatedPictures
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.training.pictures.anchors import Anchors
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.supervised import SupervisedTrainer
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE

TRAINING_VERSION = 1  # grows when a detector learns otherwise than before from the same poses and pictures


@dataclass(frozen=True)
class DetectorCell:
    """A detector's place in the table, and all that its figures depend on.

    Attributes:
        pair, row, draw, seed: its place; ``draw`` is None for the rows that are no method's.
        prior_key: of the poses that it learns from; "" for those rows.
        settings: of its training, a dictionary of the detector's settings.
        fingerprint: hash of all that its figures depend on, except for the code.
    """

    pair: str
    row: str
    draw: int | None
    seed: int
    prior_key: str
    settings: Any
    fingerprint: str

    @property
    def key(self) -> str:
        """Of its result on storage."""
        draw = "" if self.draw is None else f"-{self.draw}"
        return f"detectors/{self.pair}/{self.row}{draw}-{self.seed}.json"

    @property
    def place(self) -> dict[str, Any]:
        """What every result begins with."""
        return {"pair": self.pair, "row": self.row, "draw": self.draw, "seed": self.seed, "make": self.fingerprint}


def detector_cells(pair: PairConfig, cells: list[Cell]) -> list[DetectorCell]:
    """The detectors of a pair's cells, and those of the rows that are no method's; empty where it has no judge."""
    config = pair.detector
    if config is None:
        return []
    settings = detector_settings(config, f"pairs.{pair.name}.detector")
    world = [TRAINING_VERSION, config.model_dump(mode="json", exclude={"seeds", "poses", "mixup", "workers"})]
    target = pair.target.model_dump(mode="json")
    made = []
    for seed in config.seeds:
        seeded = replace(settings, seed=seed)
        references = [MEAN_POSE] if seed == config.seeds[0] else []
        references += [SUPERVISED] if annotated(config) else []
        for row in references:
            made.append(DetectorCell(pair.name, row, None, seed, "", seeded, config_hash([*world, row, target, seed])))
        for cell in cells:
            if cell.pair == pair.name:
                fingerprint = config_hash([*world, cell.fingerprint, seed])
                made.append(DetectorCell(pair.name, cell.row, cell.seed, seed, cell.prior_key, seeded, fingerprint))
    return made


@dataclass(frozen=True, eq=False)
class Gallery:
    """The pictures of a pair, the same for all its detectors.

    Attributes:
        pictures: to learn from.
        truth_NJ2: their poses, for the supervised twin; None where nobody annotated them.
        test: to judge by.
        mean_J2: of the target's poses that are not held out.
        anchors: a few annotated pictures that every detector learns from too; None for none.
    """

    pictures: Unlabelled
    truth_NJ2: np.ndarray | None
    test: AnnotatedPictures
    mean_J2: np.ndarray
    anchors: Anchors | None = None


def read_gallery(pair: PairConfig, rest: PoseSet) -> Gallery:
    """Read the pictures of a pair and check that they fit its poses.

    Args:
        pair: with a detector.
        rest: its target's poses that are not held out.

    Raises:
        DataError: pictures or annotations that cannot be used, or of another skeleton.
    """
    found = read_recipe_pictures(pair.detector, rest.skeleton_name, f"pairs.{pair.name}.detector")
    pictures_N3SS, clip_N = found.rows  # on disk; in memory from here on: Ray sends them to the workers
    test = replace(found.test, pictures_N3SS=found.test.pictures_N3SS[:])
    truth_NJ2 = found.truth.poses.keypoints_NJ2 if found.truth else None
    few = found.annotated
    anchors = Anchors(few.pictures_N3SS[:], few.poses.keypoints_NJ2) if few else None
    return Gallery(Unlabelled(pictures_N3SS[:], clip_N), truth_NJ2, test, rest.keypoints_NJ2.mean(0), anchors)


def judge(cell: DetectorCell, gallery: Gallery, prior: PoseSet | None, device: str) -> dict:
    """Train a cell's detector and judge it.

    Args:
        cell: names its place and settings.
        gallery: of its pair.
        prior: what it learns from; None for the rows that are no method's.
        device: where networks run.

    Returns:
        JSON-ready: place and fingerprint of the cell; ``error``, None; ``scores`` as of
        :func:`~flexpose_ray.judging.keypoints.keypoint_scores`; ``labels`` with the same by the pictures' labels;
        ``side`` of the pictures in pixels; ``steps``; ``seconds`` of training.
    """
    started = time.perf_counter()
    done = {**cell.place, "error": None, "side": cell.settings.size}
    if cell.row == MEAN_POSE:
        return done | {"scores": _scores(score_mean_pose(gallery.mean_J2, gallery.test.poses)), "labels": {}}
    worker, skeleton_name = replace(SINGLE, device=device), gallery.test.poses.skeleton_name
    if cell.row == SUPERVISED:
        trainer = SupervisedTrainer(skeleton_name, gallery.pictures, gallery.truth_NJ2, cell.settings, worker)
    else:
        given = gallery.pictures, prior.keypoints_NJ2, cell.settings, worker, gallery.anchors
        trainer = DetectorTrainer(skeleton_name, *given)
    while trainer.step_count < trainer.last_step:
        trainer.step()
    seconds = time.perf_counter() - started
    first, *labels = evaluate(Detector(trainer.reader, cell.settings, "", {}), gallery.test)
    by_label = {row["what"]: _scores(row) for row in labels}
    return done | {
        "scores": _scores(first),
        "labels": by_label,
        "steps": cell.settings.steps,
        "seconds": round(seconds, 1),
    }


def _scores(row: dict) -> dict:
    return {key: value for key, value in row.items() if key not in ("what", "count")}
