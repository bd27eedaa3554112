"""The pictures of a recipe: read and checked at the start of a run, and the detector that learns from them at its end.

In the run's folder:

    detector/              the detector
    predictions.json       what it found in the pictures without annotations, as COCO keypoints
    predictions.png        some of them
    detector.json          counts and scores; written last
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from flexpose_ray.config.pictures import PicturesConfig, detector_settings
from flexpose_ray.engine.detect.run import PictureJob, run_training
from flexpose_ray.errors import DataError
from flexpose_ray.evaluation.detector import evaluate, predictions, sheet
from flexpose_ray.models.detectors import load_detector
from flexpose_ray.pictures.annotated import AnnotatedPictures, read_annotated
from flexpose_ray.pictures.read import STUDIO, PictureSet, read_pictures
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.read import KINDS
from flexpose_ray.storage.base import Store, read_json

DONE = "detector.json"


@dataclass(frozen=True, eq=False)
class RecipePictures:
    """The pictures that a recipe names.

    Attributes:
        unlabelled: to learn from.
        truth: the same with their poses, for a supervised twin; None where nobody annotated them.
        test: to judge by; None where the recipe names none.
        annotated: a few with their poses, to learn from too; None where the recipe names none.
    """

    unlabelled: PictureSet | None
    truth: AnnotatedPictures | None
    test: AnnotatedPictures | None
    annotated: AnnotatedPictures | None = None

    @cached_property
    def rows(self) -> tuple:
        """Pictures to learn from, and their clips."""
        if self.truth is not None:
            return self.truth.pictures_N3SS, self.truth.poses.group_N
        return self.unlabelled.pictures_N3SS, self.unlabelled.clip_N


def annotated(config: PicturesConfig) -> bool:
    """Whether the pictures to learn from have annotations."""
    return config.unlabelled.partition("?")[0] == STUDIO or config.unlabelled.partition(":")[0] in KINDS


def read_recipe_pictures(config: PicturesConfig, skeleton_name: str, where: str) -> RecipePictures:
    """Read the pictures of a recipe and check that they fit its poses.

    Args:
        config: names them.
        skeleton_name: of the recipe's target.
        where: for errors.

    Raises:
        ConfigError: settings that cannot be used.
        DataError: pictures or annotations that cannot be used, or of another skeleton.
    """
    size = detector_settings(config, where).size
    given = config.folder, size, config.mapping, config.masks
    named = {"test": config.test, "annotated": config.annotated}
    found = {what: read_annotated(uri, *given) if uri else None for what, uri in named.items()}
    for what, pictures in found.items():
        if pictures is not None and pictures.poses.skeleton_name != skeleton_name:
            problem = f"its {what} pictures are {pictures.poses.skeleton.name}, its target is not"
            raise DataError(where, problem, "give both of one skeleton")
    if annotated(config):
        return RecipePictures(None, read_annotated(config.unlabelled, *given), **found)
    return RecipePictures(read_pictures(config.unlabelled, size, config.masks), None, **found)


def detect(
    config: PicturesConfig,
    pictures: RecipePictures,
    prior: PoseSet,
    store: Store,
    on_progress: Callable[[dict], None] = lambda row: None,
) -> dict:
    """Train a detector on a recipe's pictures, let it read them, and judge it where there are annotations.

    Args:
        config: of the pictures.
        pictures: as read.
        prior: generated poses.
        store: of the run; what is there is not done again.
        on_progress: takes a row of training now and then.

    Returns:
        ``detector`` and ``predictions`` (URIs), ``pictures``, ``clips``, ``poses``, ``side`` (pixels), ``steps``,
        ``confidence`` (mean), and ``scores``: rows as of :func:`~flexpose_ray.evaluation.detector.evaluate`, empty
        without annotated pictures.

    Raises:
        FlexPoseError: as :func:`~flexpose_ray.engine.detect.run.run_training`.
    """
    if store.exists(DONE):
        return read_json(store, DONE)
    settings = detector_settings(config, "pictures")
    pictures_N3SS, clip_N = pictures.rows
    job = PictureJob("detector", pictures_N3SS, clip_N, prior, settings, config.workers, pictures.annotated)
    card = {"pictures_from": config.unlabelled, "poses_from": f"{store.uri}/samples"}
    if config.annotated:
        card["annotated_from"] = config.annotated
    trained = run_training(job, f"{store.uri}/detector", on_progress, card=card)
    detector = load_detector(trained["model"])
    reading = detector.reader.read(pictures_N3SS)
    done = {"detector": trained["model"], "predictions": None}
    if pictures.unlabelled is not None:
        store.put("predictions.json", predictions(detector, pictures.unlabelled, reading).encode())
        done["predictions"] = f"{store.uri}/predictions.json"
    store.put("predictions.png", cv2.imencode(".png", sheet(detector, pictures_N3SS, reading))[1].tobytes())
    done |= {"pictures": len(clip_N), "clips": len(np.unique(clip_N)), "poses": len(prior)}
    done |= {"side": settings.size, "steps": settings.steps, "confidence": float(reading.confidence_NJ.mean())}
    done["scores"] = evaluate(detector, pictures.test) if pictures.test is not None else []
    store.put(DONE, json.dumps(done, indent=1).encode())
    return done
