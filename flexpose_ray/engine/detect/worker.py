"""The loop of a training on pictures and poses, which runs in every worker."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray.train
import torch
from ray.train.torch import get_device

from flexpose_ray.engine.detect.inputs import read_inputs
from flexpose_ray.engine.detect.kinds import KINDS
from flexpose_ray.engine.train.checkpoint import Checkpoint, last_checkpoint, write_checkpoint
from flexpose_ray.engine.train.launch import STOPPED
from flexpose_ray.engine.train.stop import StopListener
from flexpose_ray.engine.train.trainer import exchanging_worker
from flexpose_ray.errors import TrainingError
from flexpose_ray.storage.open import open_store

PATIENCE_S = 600.0  # for a storage server that is away
REPORTS = 40  # of a whole training
RATES = ("kimg", "kimg_s", "eta_s")  # what a row says beside losses
SAVE_S = 60.0  # a report writes a checkpoint where the last one is older


@dataclass(frozen=True)
class Place:
    """Where a worker trains, for :class:`StopListener`."""

    device: torch.device
    rank: int
    world: int


def train_on_pictures(config: dict) -> None:
    """Train to the last step, or until a stop is requested; Ray Train calls this in every worker.

    Args:
        config: ``kind``, ``settings``, ``run`` (URI of the folder with inputs and checkpoints), ``key`` of the
            training, ``out`` (URI of the model), ``card``, ``threads``, ``stop`` (actor of a StopSignal).
    """
    store, context = open_store(config["run"], PATIENCE_S), ray.train.get_context()
    place = Place(get_device(), context.get_world_rank(), context.get_world_size())
    torch.set_num_threads(config["threads"])
    kind = KINDS[config["kind"]]
    settings = kind.settings(**config["settings"])
    pictures, poses, anchors = read_inputs(store, settings.size)
    worker = exchanging_worker(place.device, place.rank, place.world)
    more = {} if anchors is None else {"anchors": anchors}  # which only a detector's trainer takes
    trainer = kind.trainer(poses.skeleton_name, pictures, poses.keypoints_NJ2, settings, worker, **more)
    history: list[dict] = []
    last = last_checkpoint(store, config["key"])
    if last is not None:
        trainer.load_state(last.tensors, last.numbers)
        history = last.history
    _train(trainer, history, config, StopListener(config["stop"], place), place)


def _train(trainer: Any, history: list[dict], config: dict, stop: StopListener, place: Place) -> None:
    store = open_store(config["run"], PATIENCE_S)
    every = max(1, trainer.last_step // REPORTS)
    saved = began = time.monotonic()
    sums: dict[str, list[float]] = {}
    start = trainer.step_count
    while trainer.step_count < trainer.last_step:
        for name, value in trainer.step().items():
            sums.setdefault(name, []).append(value)
        step = trainer.step_count
        stops, ends = stop.requested(step), step == trainer.last_step
        if not (stops or ends or step % every == 0):
            continue
        row = _row(trainer, config["kind"], sums, step - start, time.monotonic() - began)
        sums, start, began = {}, step, time.monotonic()
        history.append(row)
        if place.rank == 0 and (stops or ends or began - saved > SAVE_S):
            write_checkpoint(store, Checkpoint(*trainer.state(), history, config["key"]).copied())
            saved = time.monotonic()
        ray.train.report({} if place.rank else row | ({STOPPED: True} if stops else {}))
        if stops:
            return
    if place.rank == 0:  # also where a kill came between the last checkpoint and this
        losses = {name: value for name, value in history[-1].items() if name not in RATES}
        KINDS[config["kind"]].save(config["out"], trainer, config["card"] | {"losses": losses})


def _row(trainer: Any, kind: str, sums: dict[str, list[float]], steps: int, seconds: float) -> dict[str, float]:
    """kimg so far, rates, and the mean of every loss over all workers.

    Raises:
        TrainingError: a loss is not finite.
    """
    means = torch.tensor([float(np.mean(v)) for v in sums.values()], dtype=torch.float64, device=trainer.device)
    trainer.worker.reduce([means])()
    losses = dict(zip(sums, means.tolist(), strict=True))
    if broken := next((name for name, value in losses.items() if not math.isfinite(value)), None):
        hint = f"lower lr ({trainer.settings.lr:g}); the last good checkpoint is kept"
        raise TrainingError(f"{kind}, step {trainer.step_count:,}", f"{broken} is {losses[broken]}", hint)
    batch = trainer.settings.batch
    rate = steps * batch / 1000 / seconds
    left = (trainer.last_step - trainer.step_count) * batch / 1000 / rate
    row = {"kimg": trainer.step_count * batch / 1000, "kimg_s": round(rate, 5), "eta_s": round(left)}
    return row | {name: round(value, 5) for name, value in losses.items()}
