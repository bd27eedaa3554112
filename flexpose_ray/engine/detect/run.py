"""Training a detector under Ray Train, resumable after any kill: the driver's side.

In the folder of the model, beside the model itself:

    training/pictures.npz      the pictures as the networks see them, read once
    training/prior.parquet     the poses
    training/checkpoints/      the last two

When the training has ended, ``training`` is removed.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import asdict, dataclass

import numpy as np

from flexpose_ray.canonical import canonical_text
from flexpose_ray.engine.detect.worker import DETECTOR, train_detector_worker
from flexpose_ray.engine.runtime.errors import innermost_line
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.train.failures import RESUME_HINT
from flexpose_ray.engine.train.launch import Loop, Progress, Resources, launch
from flexpose_ray.errors import ConfigError, DataError, TrainingError, WeightsError
from flexpose_ray.models.weights import read_model
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pictures import PictureSet
from flexpose_ray.sources.pose_file import poses_to_bytes
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from flexpose_ray.training.detector_settings import DetectorSettings

TRAINING = "training"  # folder of what only training needs, within the model's
LEAST_PRIOR = 2  # poses


@dataclass(frozen=True, eq=False)
class DetectorJob:
    """What a detector is trained on.

    Attributes:
        pictures: without annotations, of the size that the settings say.
        prior: poses as the pictures' are thought to be distributed.
        settings: of training.
        workers: that share every batch.
    """

    pictures: PictureSet
    prior: PoseSet
    settings: DetectorSettings
    workers: int = 1

    def __post_init__(self):
        if not 1 <= self.workers <= self.settings.batch or self.settings.batch % self.workers:
            problem = f"{self.workers} workers cannot share a batch of {self.settings.batch}"
            raise ConfigError("--workers", problem, "choose a divisor of the batch")
        if len(self.prior) < LEAST_PRIOR:
            raise DataError("prior", f"{len(self.prior)} poses", "give a data set or pose set with thousands")

    @property
    def key(self) -> str:
        """What the result depends on, as a hash: pictures, poses and settings."""
        digest = hashlib.sha256(canonical_text([asdict(self.settings), self.prior.skeleton_name]).encode())
        for array in (self.pictures.pictures_N3SS, self.pictures.clip_N, self.prior.keypoints_NJ2):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def train_detector(
    job: DetectorJob,
    out: str,
    on_progress: Progress = lambda row: None,
    resources: Resources | None = None,
    card: dict | None = None,
) -> dict:
    """Train a detector; a second call resumes or returns at once.

    Args:
        out: folder of the model.
        on_progress: takes a row (kimg, rates, losses) now and then.
        resources: CPU and GPU of a worker; by default a CPU, and a whole GPU where there is one.
        card: more that the model's card says, as where its pictures are from.

    Returns:
        ``detector`` (URI), ``digest``, and the last losses.

    Raises:
        ConfigError: another model is in ``out``, or settings do not fit.
        TrainingError: losses are not finite, or workers are lost again and again.
        FlexPoseError: bad data, storage or checkpoint.
    """
    store = open_store(out)
    done = _finished(store, job.key)
    if done is None:
        training = store.child(TRAINING)
        _write_inputs(training, job)
        card = {"key": job.key, **_facts(job), **(card or {})}
        threads = max(1, (os.cpu_count() or 1) // job.workers)
        given = {"out": store.uri, "run": training.uri, "threads": threads, "card": card}
        given |= {"settings": asdict(job.settings), "key": job.key}
        loop = Loop(train_detector_worker, given, (job.workers, job.workers), _too_many_failures)
        with ray_session():
            launch(loop, on_progress, resources)
        done = _finished(store, job.key)
        if done is None:
            raise TrainingError(DETECTOR, "ended without a model", RESUME_HINT)
    for key in store.list(f"{TRAINING}/"):
        store.delete(key)
    return done


def _facts(job: DetectorJob) -> dict:
    """What the card says of the data; the mean pose is what a detector has to beat."""
    mean_J2 = job.prior.keypoints_NJ2.mean(0)
    return {
        "pictures": len(job.pictures),
        "clips": len(set(job.pictures.clip_N)),
        "unreadable": len(job.pictures.bad),
        "poses": len(job.prior),
        "mean_pose": [[round(float(v), 5) for v in xy] for xy in mean_J2],
    }


def _finished(store: Store, key: str) -> dict | None:
    """The result, where this very training has ended.

    Raises:
        ConfigError: the folder holds another model.
    """
    if not store.exists("model.json"):
        return None
    try:
        model = read_model(store.uri, "detector")
    except WeightsError as error:
        raise ConfigError("--out", str(error), "choose another folder") from error
    if model.card.get("key") != key:
        problem = f"{store.uri} holds a detector of other pictures, poses or settings"
        raise ConfigError("--out", problem, "choose another folder")
    return {"detector": store.uri, "digest": model.digest, **model.card.get("losses", {})}


def _write_inputs(store: Store, job: DetectorJob) -> None:
    """What workers read; a training that was begun with other data is begun anew."""
    if store.exists("key") and store.get("key").decode() == job.key:
        return
    for key in store.list():
        store.delete(key)
    buffer = io.BytesIO()
    np.savez(buffer, pictures_N3SS=job.pictures.pictures_N3SS, clip_N=job.pictures.clip_N)
    store.put("pictures.npz", buffer.getvalue())
    store.put("prior.parquet", poses_to_bytes(job.prior))
    store.put("key", job.key.encode())


def _too_many_failures(failures: list[BaseException]) -> TrainingError:
    problem = f"failed {len(failures)} times in a row: {innermost_line(failures[-1])}"
    return TrainingError(DETECTOR, problem, RESUME_HINT)
