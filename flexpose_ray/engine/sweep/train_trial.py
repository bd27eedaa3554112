"""One trial over pretraining: a training under Ray Train, with a run's folder of its own."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from ray import tune

from flexpose_ray.config import Recipe, parse, pretrain_key
from flexpose_ray.config.sweep import Point
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.sweep.population import FIRST, enter_generation, pointed_run, pointer_checkpoint
from flexpose_ray.engine.sweep.trial import Report, run_trial
from flexpose_ray.engine.train.launch import Resources
from flexpose_ray.engine.train.run import pretrain
from flexpose_ray.storage.open import open_store

STOP_S = 1.0  # for the worker to answer that it stops
KEEP_ALL = 10_000  # checkpoints: members of a population may resume from any


@dataclass(frozen=True)
class TrainingInputs:
    """What all trials share.

    Attributes:
        recipe: of the sweep, as JSON.
        uri: of the sweep's folder.
        threads: torch threads of every worker.
    """

    recipe: dict
    uri: str
    threads: int


def train_trial(config: dict[str, Any], inputs: TrainingInputs) -> None:
    """Run the point in Tune's ``config`` and report how it went."""
    run_trial(lambda report: _train(config["point"], inputs, report))


def worker_resources(recipe: SweepRecipe) -> Resources | None:
    """What a worker takes; None where the sweep does not say, and workers take what they take by default."""
    sweep = recipe.sweep
    if sweep.cpus == 1 and not sweep.gpus:
        return None
    return {"CPU": sweep.cpus} | ({"GPU": sweep.gpus} if sweep.gpus else {})


def _train(point: Point, inputs: TrainingInputs, report: Report) -> dict[str, Any]:
    swept = parse(SweepRecipe, inputs.recipe, "sweep").at(point)
    trial = open_store(inputs.uri).child(f"runs/{int(tune.get_context().get_trial_name()):06d}")
    population = swept.sweep.scheduler == "pbt"
    recipe = _recipe(swept, inputs.threads, population)
    key, generation = pretrain_key(recipe), FIRST
    if population:
        generation = enter_generation(trial, pointed_run(tune.get_checkpoint()), key, point)
    run_uri = trial.child(generation).child(key).uri

    def on_progress(row: dict) -> None:
        if "fd" not in row:
            return
        look = {name: row[name] for name in ("kimg", "fd", "mmd2") if name in row}
        try:
            report(look, checkpoint=pointer_checkpoint(run_uri)) if population else report(look)
        except SystemExit:  # how Tune ends a trial's thread; training would go on, and its worker would wait for it
            time.sleep(STOP_S)
            os._exit(0)

    began = time.perf_counter()
    done = pretrain(recipe, trial.child(generation).uri, on_progress, worker_resources(swept))
    scores = {name: done[name] for name in ("fd", "mmd2", "kimg") if done.get(name) is not None}
    return {**scores, "seconds": round(time.perf_counter() - began, 3), "generator": done["generator"]}


def _recipe(swept: SweepRecipe, threads: int, population: bool) -> Recipe:
    keep = KEEP_ALL if population else swept.pretrain.keep
    pretraining = swept.pretrain.model_copy(update={"threads": threads, "keep": keep})
    return swept.plain.model_copy(update={"pretrain": pretraining})
