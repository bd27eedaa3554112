"""Training on pictures and poses under Ray Train, resumable after any kill: the driver's side.

In the folder of the model, beside the model itself:

    training/pictures/         the pictures as the networks see them, in blocks, read once
    training/clips.npz  training/prior.parquet  training/annotated.npz
    training/checkpoints/      the last two

When the training has ended, ``training`` is removed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from functools import cached_property, partial

import numpy as np

from flexpose_ray.canonical import canonical_text
from flexpose_ray.engine.detect.inputs import write_inputs
from flexpose_ray.engine.detect.kinds import KINDS
from flexpose_ray.engine.detect.worker import train_on_pictures
from flexpose_ray.engine.runtime.errors import innermost_line
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.train.failures import RESUME_HINT
from flexpose_ray.engine.train.launch import Loop, Progress, Resources, launch
from flexpose_ray.errors import ConfigError, DataError, TrainingError, WeightsError
from flexpose_ray.models.weights import read_model
from flexpose_ray.pictures.annotated import AnnotatedPictures
from flexpose_ray.pictures.rows import PictureRows
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

TRAINING = "training"  # folder of what only training needs, within the model's
LEAST_PRIOR = 2  # poses


@dataclass(frozen=True, eq=False)
class PictureJob:
    """What is trained, and on what.

    Attributes:
        kind: "detector"; "supervised", its twin that sees the truth; or "translator".
        pictures_N3SS: of the size that the settings say.
        clip_N: str; pictures of one clip show the same subject in the same place.
        prior: poses as the pictures' are thought to be distributed; those of the pictures, row by row, of a twin.
        settings: of training, of the kind's class.
        workers: that share every batch.
        annotated: a few pictures with their poses, which a detector learns from too; None for none.

    Raises:
        ConfigError: so many workers cannot share a batch.
        DataError: too few poses, a twin's are not the pictures', or annotated pictures are of another skeleton.
    """

    kind: str
    pictures_N3SS: PictureRows
    clip_N: np.ndarray
    prior: PoseSet
    settings: object
    workers: int = 1
    annotated: AnnotatedPictures | None = None

    def __post_init__(self):
        if not 1 <= self.workers <= self.settings.batch or self.settings.batch % self.workers:
            problem = f"{self.workers} workers cannot share a batch of {self.settings.batch}"
            raise ConfigError("--workers", problem, "choose a divisor of the batch")
        if len(self.prior) < LEAST_PRIOR:
            raise DataError("prior", f"{len(self.prior)} poses", "give a data set or pose set with thousands")
        if self.kind == "supervised" and len(self.prior) != len(self.clip_N):
            problem = f"{len(self.prior)} poses of {len(self.clip_N)} pictures"
            raise DataError("annotations", problem, "give one pose for every picture")
        if self.annotated is not None:
            self._check_annotated(self.annotated.poses)

    def _check_annotated(self, poses: PoseSet) -> None:
        where = "annotated pictures"
        if self.kind != "detector":
            raise DataError(where, f"a {self.kind} training learns nothing from them", "leave them out")
        if not len(poses):
            raise DataError(where, "there are none", "give a dozen, or leave them out")
        if poses.skeleton_name != self.prior.skeleton_name:
            problem = f"they are {poses.skeleton.name}, the poses to learn from {self.prior.skeleton.name}"
            raise DataError(where, problem, "give both of one skeleton")

    @cached_property
    def key(self) -> str:
        """What the result depends on, as a hash: kind, all pictures, poses and settings."""
        digest = hashlib.sha256(canonical_text([self.kind, asdict(self.settings), self.prior.skeleton_name]).encode())
        for block in self.pictures_N3SS.blocks():
            digest.update(block)
        for array in (self.clip_N, self.prior.keypoints_NJ2):
            digest.update(np.ascontiguousarray(array).tobytes())
        if self.annotated is not None:
            for array in (self.annotated.pictures_N3SS[:], self.annotated.poses.keypoints_NJ2):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    @property
    def facts(self) -> dict:
        """What the model's card says of the data; the mean pose is what a detector has to beat."""
        mean_J2 = self.prior.keypoints_NJ2.mean(0)
        annotated = {} if self.annotated is None else {"annotated_pictures": len(self.annotated)}
        return annotated | {
            "trained_as": self.kind,
            "pictures": len(self.clip_N),
            "clips": len(set(self.clip_N)),
            "poses": len(self.prior),
            "mean_pose": [[round(float(v), 5) for v in xy] for xy in mean_J2],
        }


def run_training(
    job: PictureJob,
    out: str,
    on_progress: Progress = lambda row: None,
    resources: Resources | None = None,
    card: dict | None = None,
) -> dict:
    """Train; a second call resumes or returns at once.

    Args:
        out: folder of the model.
        on_progress: takes a row (kimg, rates, losses) now and then.
        resources: CPU and GPU of a worker; by default a CPU, and a whole GPU where there is one.
        card: more that the model's card says, as where its pictures are from.

    Returns:
        ``model`` (URI), ``digest``, and the last losses.

    Raises:
        ConfigError: another model is in ``out``, or settings do not fit.
        TrainingError: losses are not finite, or workers are lost again and again.
        FlexPoseError: bad data, storage or checkpoint.
    """
    store = open_store(out)
    done = _finished(store, job)
    if done is None:
        training = store.child(TRAINING)
        write_inputs(training, job.key, job.pictures_N3SS, job.clip_N, job.prior, job.annotated)
        card = {"key": job.key, **job.facts, **(card or {})}
        threads = max(1, (os.cpu_count() or 1) // job.workers)
        given = {"out": store.uri, "run": training.uri, "threads": threads, "card": card, "kind": job.kind}
        given |= {"settings": asdict(job.settings), "key": job.key}
        loop = Loop(train_on_pictures, given, (job.workers, job.workers), partial(_too_many_failures, job.kind))
        with ray_session():
            launch(loop, on_progress, resources)
        done = _finished(store, job)
        if done is None:
            raise TrainingError(job.kind, "ended without a model", RESUME_HINT)
    for key in store.list(f"{TRAINING}/"):
        store.delete(key)
    return done


def _finished(store: Store, job: PictureJob) -> dict | None:
    """The result, where this very training has ended.

    Raises:
        ConfigError: the folder holds another model.
    """
    if not store.exists("model.json"):
        return None
    kind = KINDS[job.kind].model
    try:
        model = read_model(store.uri, kind)
    except WeightsError as error:
        raise ConfigError("--out", str(error), "choose another folder") from error
    if model.card.get("key") != job.key:
        problem = f"{store.uri} holds a {kind} of other pictures, poses or settings"
        raise ConfigError("--out", problem, "choose another folder")
    return {"model": store.uri, "digest": model.digest, **model.card.get("losses", {})}


def _too_many_failures(kind: str, failures: list[BaseException]) -> TrainingError:
    problem = f"failed {len(failures)} times in a row: {innermost_line(failures[-1])}"
    return TrainingError(kind, problem, RESUME_HINT)
