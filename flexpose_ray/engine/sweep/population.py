"""Population-based training (Jaderberg et al. 2017): bad members go on from a good one's checkpoint, a little changed.

A member's training lies in ``runs/NUMBER/gGENERATION``; a member that takes over another's checkpoint begins a new
generation, and ``member.json`` says which one is the last and at which point. Tune's own checkpoints hold an address.
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

MEMBER, RUN = "member.json", "run.json"
FRESH = 0.25  # of all changes, a value drawn anew; the others are a step aside
STEP = (0.8, 1.25)
LEFT = ("checkpoints/", "tensorboard/", "grids/", "pretrain.json", "card.md")  # what a new generation begins without


class Members(Points):
    """Hands out where the members of an earlier call have got to, or where they begin."""

    def __init__(self, sweep: SweepConfig, missing: list[int], store: Store):
        super().__init__(sweep, missing)
        self.store = store

    def choose(self, number: int, trial_id: str) -> Point:
        member = self.store.child(f"runs/{number:06d}")
        return read_json(member, MEMBER)["point"] if member.exists(MEMBER) else super().choose(number, trial_id)


def make_breeder(recipe: SweepRecipe) -> PopulationBasedTraining:
    """Tune's scheduler, changing points as :func:`step_aside` does."""
    sweep, metric = recipe.sweep, recipe.sweep.objectives[0]
    return PopulationBasedTraining(
        time_attr="kimg",
        metric=metric,
        mode="max" if metric in HIGHER_IS_BETTER else "min",
        perturbation_interval=sweep.grace or recipe.pretrain.eval_kimg,
        custom_explore_fn=changer(recipe),
        require_attrs=False,
    )


def changer(recipe: SweepRecipe) -> Callable[[dict], dict]:
    """Takes a config of Tune and gives one with a point beside it, still within the space."""
    sweep, rng = recipe.sweep, np.random.default_rng([recipe.sweep.seed, recipe.sweep.count])

    def change(config: dict) -> dict:
        point = {key: step_aside(sweep.space[key], value, rng) for key, value in config["point"].items()}
        return {**config, "point": point}

    return change


def step_aside(dimension: tuple | Range, value, rng: np.random.Generator):
    """A value near another one: a neighbour of the list, or a fifth less or a quarter more, within bounds."""
    if not isinstance(dimension, Range):
        if value not in dimension or rng.random() < FRESH:
            return dimension[int(rng.integers(len(dimension)))]
        at = dimension.index(value) + (1 if rng.random() < 0.5 else -1)
        return dimension[min(max(at, 0), len(dimension) - 1)]
    if rng.random() < FRESH:
        return dimension.draw(rng)
    low, high = dimension.bounds
    moved = min(max(value * STEP[int(rng.random() < 0.5)], low), high)
    return round(moved) if dimension.randint else moved


def checkpoint_of(run_uri: str) -> tune.Checkpoint:
    """A checkpoint for Tune that says where the real one lies; the folder is Tune's to remove."""
    folder = Path(tempfile.mkdtemp(prefix="flexpose-member-"))
    (folder / RUN).write_text(json.dumps({"run": run_uri}))
    return tune.Checkpoint.from_directory(str(folder))


def told_run(checkpoint: tune.Checkpoint | None) -> str | None:
    """The run that a checkpoint of Tune names."""
    if checkpoint is None:
        return None
    with checkpoint.as_directory() as folder:
        return json.loads((Path(folder) / RUN).read_text())["run"]


def next_home(trial: Store, donor: str | None) -> str:
    """Generation to train in: the last one, or a new one where another member's run is taken over."""
    last = read_json(trial, MEMBER)["home"] if trial.exists(MEMBER) else None
    if donor is None or donor.startswith(f"{trial.uri}/"):
        return last or "g000"
    return f"g{int(last[1:]) + 1:03d}" if last else "g000"


def note_home(trial: Store, home: str, point: Point) -> None:
    """Keep where a member is, for a call that goes on."""
    trial.put(MEMBER, json.dumps({"home": home, "point": point}).encode())


def breed(donor: Store, run: Store, key: str) -> None:
    """Let ``run`` begin where ``donor`` has got to; the checkpoint comes last, so that half a copy counts for nothing.

    Raises:
        WeightsError: the donor has no checkpoint.
    """
    last = last_checkpoint(donor)
    if last is None:
        raise WeightsError(donor.uri, "has no checkpoint to go on from", "it was deleted: repeat the command")
    for name in donor.list():
        if not name.startswith(LEFT):
            run.put(name, donor.get(name))
    write_checkpoint(run, replace(last, run=key), keep=1)
