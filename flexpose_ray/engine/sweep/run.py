"""Sweeps: one recipe at many points, by Ray Tune; adaptation or pretraining. See sweep_results.py for what is left."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import ray
from ray import tune

from flexpose_ray.config import parse
from flexpose_ray.config.sweep_recipe import SweepRecipe, check_points, sweep_key, values_of
from flexpose_ray.engine.adapt.one import Base, check_shots
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.sweep.common import Tell, counter, pin, searcher
from flexpose_ray.engine.sweep.results import RECIPE, SUMMARY, ended_trials, read_rows, summarise, write_table
from flexpose_ray.engine.sweep.search import import_optuna, make_scheduler
from flexpose_ray.engine.sweep.trainings import run_trainings
from flexpose_ray.engine.sweep.trial import Study, adapt_trial, draw_key, put_study
from flexpose_ray.engine.sweep.tuner import run_missing
from flexpose_ray.errors import ConfigError
from flexpose_ray.evaluation.target import split_target
from flexpose_ray.judging.scores import halves
from flexpose_ray.networks.transfer import layer_set
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store


class Inputs:
    """What trials over adaptation learn from and are judged by, read and checked.

    Attributes:
        base: the generator.
        held: held-out target poses, the same for all trials, ``sweep.samples`` at most.
        shots: the annotated poses by :func:`draw_key`.
    """

    def __init__(self, recipe: SweepRecipe):
        sweep = recipe.sweep
        self.base = Base.load(recipe.generator)
        parts, self.shots = self.base.parts, {}
        for layers in values_of(recipe, "adapt.layers"):
            layer_set(layers, parts.generator.n_layers)
        held, _, rest = split_target(recipe.target)
        for per_label in values_of(recipe, "target.shots_per_label"):
            for seed in values_of(recipe, "target.seed"):  # other shots, the same held-out part
                shots = rest.pick_shots(per_label, seed)
                check_shots(shots, recipe.adapt, parts.alpha.skeleton_name, parts.generator.n_layers, recipe.generator)
                self.shots[draw_key(per_label, seed)] = shots.keypoints_NJ2
        halves(held)  # metrics want so many
        self.held = _some(held, sweep.samples, sweep.seed)

    def put(self, recipe: SweepRecipe) -> Study:
        """Everything once into the object store."""
        return put_study(recipe, self.base.parts, self.held, self.shots)


def run_sweep(recipe: SweepRecipe, storage: str, tell: Tell = lambda done, total: None) -> dict:
    """Run all trials of a sweep that have not ended yet; a killed or grown one goes on.

    Args:
        recipe: with a ``sweep``.
        storage: folder or s3:// under which the sweep's folder is made.
        tell: takes progress.

    Returns:
        The summary; see :func:`summarise`.

    Raises:
        ConfigError: a point that cannot be, an option that is not installed, or less room than a trial wants.
        FlexPoseError: bad data, weights or storage. What the recipe names is read before anything is written.
    """
    check_points(recipe)
    sweep, store = recipe.sweep, open_store(storage).child(sweep_key(recipe))
    if sweep.algorithm == "optuna":
        import_optuna()
    ended = ended_trials(store)
    tell(len(ended), sweep.count)
    if not set(range(sweep.count)) <= ended:
        if sweep.over == "pretrain":
            run_trainings(recipe, store, tell)
        else:
            _run_adaptations(recipe, store, tell)
    return conclude(store)


def _run_adaptations(recipe: SweepRecipe, store: Store, tell: Tell) -> None:
    sweep, inputs = recipe.sweep, Inputs(recipe)
    pin(store, recipe)
    cpus = math.ceil((sweep.slots or os.cpu_count() or 1) * sweep.cpus)
    with ray_session(cpus=cpus):
        slots = room(recipe)
        study = inputs.put(recipe)
        longest = max(values_of(recipe, "adapt.steps"))
        run_missing(
            store,
            sweep.count,
            tune.with_parameters(adapt_trial, study=study),
            {"CPU": sweep.cpus, "GPU": sweep.gpus} if sweep.gpus else {"CPU": sweep.cpus},
            slots,
            lambda missing: searcher(recipe, store, missing),
            lambda: make_scheduler(sweep, "step", longest, read_rows(store)),
            counter(store, sweep.count, tell),
        )


def room(recipe: SweepRecipe) -> int:
    """Trials over adaptation that may run at a time on the Ray that is there.

    Raises:
        ConfigError: not a single one.
    """
    sweep, slots = recipe.sweep, recipe.sweep.slots or recipe.sweep.count
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, kind, want in (("cpus", "CPU", sweep.cpus), ("gpus", "GPU", sweep.gpus)):
        if want > max((node.get(kind, 0) for node in nodes), default=0):
            problem = f"a trial wants {want:g} {kind}, and no node has as much"
            raise ConfigError(f"sweep.{name}", problem, "lower it, or join a cluster of larger nodes by RAY_ADDRESS")
        if want:
            slots = min(slots, int(sum(node.get(kind, 0) // want for node in nodes)))
    return sweep.slots or slots


def conclude(store: Store) -> dict:
    """The summary of a sweep's rows, with table and summary written anew.

    Raises:
        ConfigError: no sweep in ``store``.
    """
    recipe, rows = load_swept(store), read_rows(store)
    summary = summarise(store, recipe.sweep, rows)
    if rows:
        write_table(store, rows)
    store.put(SUMMARY, json.dumps(summary, indent=1).encode())
    return summary


def load_swept(store: Store) -> SweepRecipe:
    """The recipe of the sweep in ``store``.

    Raises:
        ConfigError: no sweep there.
    """
    if not store.exists(RECIPE):
        raise ConfigError(store.uri, f"no sweep here (no {RECIPE})", "give the folder that `flexpose sweep` made")
    return parse(SweepRecipe, read_json(store, RECIPE), f"{store.uri}/{RECIPE}")


def _some(poses: PoseSet, count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).permutation(len(poses))[:count]
    return poses.keypoints_NJ2[rows]
