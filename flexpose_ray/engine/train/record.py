"""What worker 0 writes while it trains: history, checkpoints, the best generator, pictures, curves."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from flexpose_ray.config import Recipe, pretrain_key
from flexpose_ray.engine.train.background import BackgroundWriter
from flexpose_ray.engine.train.card import generator_card
from flexpose_ray.engine.train.checkpoint import Checkpoint, write_checkpoint
from flexpose_ray.engine.train.failures import diverged
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.engine.train.tracking import Tracker, open_trackers
from flexpose_ray.engine.train.trainer import Trainer, trained_networks
from flexpose_ray.models.generators import save_generator
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.pose_flow import HEUN_STEPS
from flexpose_ray.networks.sampler import FlowSampler
from flexpose_ray.storage.base import Store

SAVE_S = 60.0  # a report writes a checkpoint where the last one is older: so much is lost with a node at most
GENERATOR = "generator"


@dataclass
class Record:
    """Takes every report's row. Storage is written in the background, in order; a failure surfaces at the next write,
    or at the end.

    Attributes:
        history: rows so far; a checkpoint holds those up to it.
        facts: for the card: the number of poses, beta's error, the teacher.
        beta: of a StyleGAN.
    """

    recipe: Recipe
    store: Store
    trainer: Trainer
    judge: Judge
    history: list[dict[str, float]]
    facts: dict
    beta: Beta | None = None
    trackers: list[Tracker] = field(init=False)
    background: BackgroundWriter = field(init=False, default_factory=BackgroundWriter)
    saved: float = field(init=False, default_factory=time.monotonic)

    def __post_init__(self):
        p = self.recipe.pretrain
        settings = self.recipe.model_dump(mode="json")
        self.trackers = open_trackers(p.track, self.store, pretrain_key(self.recipe), settings, self.trainer.step_count)

    def add(self, row: dict[str, float], evaluates: bool, stops: bool = False) -> None:
        """Take a row, add scores to it if ``evaluates``, and write a checkpoint if one is due or training ``stops``."""
        step = self.trainer.step_count
        due = evaluates or stops or time.monotonic() - self.saved > SAVE_S
        if due and not self.trainer.finite():
            raise diverged("weights are not finite", step, self.recipe.pretrain)
        if evaluates:
            row |= self._scores()
        self.history.append(row)
        for tracker in self.trackers:
            tracker.row(step, row)
        if due:
            self._write(evaluates)

    def _scores(self) -> dict[str, float]:
        networks, device = self._networks(), self.trainer.device
        if networks.kind == "flow" and not self.trainer.draws_in_one_step:  # nothing is stored yet
            field = FlowSampler(networks.generator, networks.alpha, device=device, heun=HEUN_STEPS)
            return {f"field_{name}": score for name, score in self.judge.scores(field).items()}
        return self.judge.scores(networks.sampler(device=device))

    def _networks(self) -> Networks:
        return trained_networks(self.trainer, self.recipe, self.judge.source, self.beta)

    def close(self) -> None:
        """Wait until all is written."""
        self.background.wait()
        for tracker in self.trackers:
            tracker.close()

    def _write(self, evaluates: bool) -> None:
        """Copy what is due and begin to write it: pictures and the best generator before the checkpoint that holds
        their row, so that a run never resumes from a row without them."""
        self.background.wait()  # the memory of the last copy is free again
        checkpoint = Checkpoint(*self.trainer.state(), self.history, pretrain_key(self.recipe)).copied()
        best = grid_HWC = None
        if evaluates:
            grid_HWC = self.judge.grid(self._networks())
            for tracker in self.trackers:
                tracker.picture(self.trainer.step_count, grid_HWC)
            *earlier, row = self.history
            if "fd" in row and all(row["fd"] <= old["fd"] for old in earlier if "fd" in old):
                own = self._networks()
                parts = {name: copy.deepcopy(getattr(own, name)) for name in ("generator", "discriminator")}
                best = replace(own, **parts)
        self.background.submit(lambda: self._put(checkpoint, grid_HWC, best))
        self.saved = time.monotonic()

    def _put(self, checkpoint: Checkpoint, grid_HWC: np.ndarray | None, best: Networks | None) -> None:
        if grid_HWC is not None:
            png = cv2.imencode(".png", grid_HWC[..., ::-1])[1].tobytes()
            self.store.put(f"grids/kimg{round(checkpoint.history[-1]['kimg']):06d}.png", png)
        if best is not None:
            judge = self.judge
            card = generator_card(self.recipe, checkpoint.history, {**self.facts, **judge.floor})
            save_generator(f"{self.store.uri}/{GENERATOR}", best, judge.limits, card)
        write_checkpoint(self.store, checkpoint, self.recipe.pretrain.keep)
        for tracker in self.trackers:
            tracker.flush()
