"""Population-based training (Jaderberg et al. 2017): bad members resume from a good one's checkpoint, a little changed.

A member's training lies in ``runs/NUMBER/gGENERATION``. A member that takes over another's checkpoint begins a new
generation; ``member.json`` holds the last one and its point. Tune's own checkpoints hold the address of a run.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

from flexpose_ray.config.sweep import HIGHER_IS_BETTER, Point, Range, SweepConfig
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.sweep.search import Points
from flexpose_ray.engine.train.checkpoint import last_checkpoint, write_checkpoint
from flexpose_ray.errors import WeightsError
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store

MEMBER, RUN = "member.json", "run.json"
FIRST = "g000"  # generation
REDRAW = 0.25  # of all changes, a value drawn anew; the others are a step to a neighbour
FACTORS = (0.8, 1.25)  # of such a step within a range
NOT_COPIED = ("checkpoints/", "tensorboard/", "grids/", "pretrain.json", "card.md")  # to a new generation


class Members(Points):
    """Hands out the points that members of an earlier call have reached, or the sweep's where they begin."""

    def __init__(self, sweep: SweepConfig, missing: list[int], store: Store):
        super().__init__(sweep, missing)
        self.store = store

    def choose(self, number: int, trial_id: str) -> Point:
        member = self.store.child(f"runs/{number:06d}")
        return read_json(member, MEMBER)["point"] if member.exists(MEMBER) else super().choose(number, trial_id)


def make_population_scheduler(recipe: SweepRecipe) -> PopulationBasedTraining:
    """Tune's scheduler, changing points as :func:`perturb` does."""
    sweep, metric = recipe.sweep, recipe.sweep.objectives[0]
    return PopulationBasedTraining(
        time_attr="kimg",
        metric=metric,
        mode="max" if metric in HIGHER_IS_BETTER else "min",
        perturbation_interval=sweep.grace or recipe.pretrain.every_kimg[1],
        custom_explore_fn=_explore(recipe),
        require_attrs=False,
    )


def _explore(recipe: SweepRecipe) -> Callable[[dict], dict]:
    """A function that takes Tune's config of a trial and returns one with a point nearby, still within the space."""
    sweep, rng = recipe.sweep, np.random.default_rng([recipe.sweep.seed, recipe.sweep.count])

    def explore(config: dict) -> dict:
        point = {key: perturb(sweep.space[key], value, rng) for key, value in config["point"].items()}
        return {**config, "point": point}

    return explore


def perturb(dimension: tuple | Range, value, rng: np.random.Generator):
    """A value near ``value``: its neighbour in the list, or a fifth less or a quarter more, within bounds."""
    if not isinstance(dimension, Range):
        if value not in dimension or rng.random() < REDRAW:
            return dimension[int(rng.integers(len(dimension)))]
        at = dimension.index(value) + (1 if rng.random() < 0.5 else -1)
        return dimension[min(max(at, 0), len(dimension) - 1)]
    if rng.random() < REDRAW:
        return dimension.draw(rng)
    low, high = dimension.bounds
    moved = min(max(value * FACTORS[int(rng.random() < 0.5)], low), high)
    return round(moved) if dimension.randint else moved


def pointer_checkpoint(run_uri: str) -> tune.Checkpoint:
    """A checkpoint for Tune that holds the address of the real one; Tune removes the folder."""
    folder = Path(tempfile.mkdtemp(prefix="flexpose-member-"))
    (folder / RUN).write_text(json.dumps({"run": run_uri}))
    return tune.Checkpoint.from_directory(str(folder))


def pointed_run(checkpoint: tune.Checkpoint | None) -> str | None:
    """The address in a :func:`pointer_checkpoint`."""
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return json.loads((Path(folder) / RUN).read_text())["run"]


def enter_generation(trial: Store, donor: str | None, key: str, point: Point) -> str:
    """The generation that a member trains in now: its last one, or a new one with a copy of another member's run.

    Args:
        trial: the member's folder.
        donor: address of the run to resume from, the member's own or another's; None at the first start.
        key: name of the run within the generation.
        point: that the member trains at.
    """
    generation = next_generation(trial, donor)
    if _is_of_another(trial, donor):
        copy_run(open_store(donor), trial.child(generation).child(key), key)
    save_generation(trial, generation, point)
    return generation


def next_generation(trial: Store, donor: str | None) -> str:
    """Name of the generation to train in: the last one, or the one after it where another member's run is taken."""
    last = read_json(trial, MEMBER)["home"] if trial.exists(MEMBER) else None
    if last is None:
        return FIRST
    return f"g{int(last[1:]) + 1:03d}" if _is_of_another(trial, donor) else last


def save_generation(trial: Store, generation: str, point: Point) -> None:
    """Keep which generation a member is in, and at which point, for a call that resumes."""
    trial.put(MEMBER, json.dumps({"home": generation, "point": point}).encode())


def copy_run(donor: Store, run: Store, key: str) -> None:
    """Let ``run`` begin where ``donor`` is. The checkpoint is copied last, so that half a copy counts for nothing.

    Raises:
        WeightsError: the donor has no checkpoint.
    """
    last = last_checkpoint(donor)
    if last is None:
        raise WeightsError(donor.uri, "has no checkpoint to resume from", "it was deleted: repeat the command")
    for name in donor.list():
        if not name.startswith(NOT_COPIED):
            run.put(name, donor.get(name))
    write_checkpoint(run, replace(last, run=key), keep=1)


def _is_of_another(trial: Store, donor: str | None) -> bool:
    return donor is not None and not donor.startswith(f"{trial.uri}/")
