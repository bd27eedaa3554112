"""One trial over adaptation, in its worker: learn tau, look at its poses now and then, judge them."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from flexpose_ray.config import parse
from flexpose_ray.config.sweep import Point
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.runtime.memory import keep_memory
from flexpose_ray.engine.runtime.tasks import task_device
from flexpose_ray.engine.sweep.trial import Report, run_trial
from flexpose_ray.errors import TrainingError
from flexpose_ray.judging.metrics import density_coverage, frechet_distance, mmd2
from flexpose_ray.judging.scores import NEIGHBOURS
from flexpose_ray.methods.flexpose import FlexPoseSettings, adapt
from flexpose_ray.models.generators import Pretrained
from flexpose_ray.networks.transfer import Transfer

SAMPLE_SEED = 2**32  # far from the seeds of training latents


@dataclass(frozen=True)
class TrialInputs:
    """What all trials share, by reference into the object store.

    Attributes:
        recipe: of the sweep, as JSON.
        networks: the generator to adapt and all that belongs to it.
        held: held-out target poses to judge by, crop units.
        shots: the annotated poses by :func:`draw_name`.
    """

    recipe: dict
    networks: ray.ObjectRef
    held: ray.ObjectRef
    shots: dict[str, ray.ObjectRef]

    @staticmethod
    def put(
        recipe: SweepRecipe, networks: Pretrained, held_NJ2: np.ndarray, shots: dict[str, np.ndarray]
    ) -> TrialInputs:
        """Put everything into the object store, once."""
        references = {name: ray.put(shots_NJ2) for name, shots_NJ2 in shots.items()}
        # JSON and back: trials see what is on storage.
        return TrialInputs(json.loads(recipe.model_dump_json()), ray.put(networks), ray.put(held_NJ2), references)


def draw_name(shots_per_label: int, seed: int) -> str:
    """Name of a draw of shots."""
    return f"{shots_per_label} a label, seed {seed}"


def adapt_trial(config: dict[str, Any], inputs: TrialInputs) -> None:
    """Run the point in Tune's ``config`` and report how it went."""
    device = task_device()
    keep_memory()
    run_trial(lambda report: _AdaptTrial(config["point"], inputs, report, device).run())


class _AdaptTrial:
    """An adaptation that is looked at on the way and judged at the end."""

    def __init__(self, point: Point, inputs: TrialInputs, report: Report, device: str):
        recipe = parse(SweepRecipe, inputs.recipe, "sweep").at(point)
        self.sweep, self.settings = recipe.sweep, FlexPoseSettings(**recipe.adapt.model_dump())
        self.parts, self.held_NJ2 = _fetch(inputs.networks), _fetch(inputs.held)
        self.shots_NJ2 = _fetch(inputs.shots[draw_name(recipe.target.shots_per_label, recipe.target.seed)])
        self.report, self.device = report, device
        self.losses: list[float] = []
        self.looking_s = 0.0  # spent on looks, which do not count as training

    def run(self) -> dict[str, float]:
        """Adapt and judge; returns step, loss (where there is one), scores and seconds."""
        began = time.perf_counter()
        transfer = adapt(self.parts, self.shots_NJ2, self.settings, self._check_loss, self.device, self._look)
        seconds = time.perf_counter() - began - self.looking_s
        judged_NJ2 = self._sample(transfer, min(self.sweep.samples, len(self.held_NJ2)))
        scores = {**judge(judged_NJ2, self.held_NJ2), "seconds": round(seconds, 3)}
        return {"step": self.settings.steps, **self._final_loss(), **scores}

    def _check_loss(self, row: dict) -> None:
        self.losses.append(row["loss"])
        if not math.isfinite(row["loss"]):
            way_out = f"lower adapt.lr ({self.settings.lr:g})"
            raise TrainingError(f"adaptation, step {row['step']:,}", f"the loss is {row['loss']}", way_out)

    def _look(self, step: int, transfer: Transfer) -> None:
        """Report FD on the way, every ``sweep.every`` steps."""
        if self.sweep.every is None or step % self.sweep.every or step == self.settings.steps:
            return
        began = time.perf_counter()
        fd = frechet_distance(self._sample(transfer, self.sweep.report_samples), self.held_NJ2)
        self.report({"step": step, "loss": self.losses[-1], "fd": fd})
        self.looking_s += time.perf_counter() - began

    def _sample(self, transfer: Transfer, count: int) -> np.ndarray:
        parts = self.parts
        # A copy, because sampling freezes what it is given.
        sampler = parts.sampler(copy.deepcopy(transfer), device=self.device)
        return sampler.sample(SAMPLE_SEED + self.sweep.seed, np.arange(count))[0]

    def _final_loss(self) -> dict[str, float]:
        """Mean loss of the last tenth of the steps, because batches differ; a blend alone is fitted, without steps."""
        last = self.losses[-math.ceil(len(self.losses) / 10) :]
        return {"loss": float(np.mean(last))} if last else {}


def judge(judged_NJ2: np.ndarray, held_NJ2: np.ndarray) -> dict[str, float]:
    """Scores of poses against as many held-out ones.

    Raises:
        DataError: a pose is not finite.
    """
    density, coverage = density_coverage(judged_NJ2, held_NJ2, NEIGHBOURS)
    return {
        "fd": frechet_distance(judged_NJ2, held_NJ2),
        "mmd2": mmd2(judged_NJ2, held_NJ2),
        "density": density,
        "coverage": coverage,
    }


_FETCHED: dict[str, Any] = {}  # what this process has taken out of the object store: networks are unpacked once


def _fetch(reference: ray.ObjectRef) -> Any:
    name = reference.hex()
    if name not in _FETCHED:
        _FETCHED[name] = ray.get(reference)
    return _FETCHED[name]
