"""The driver of sweeps over adaptation: inputs read and checked, and how many trials run at a time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np
import ray
from ray import tune

from flexpose_ray.config.sweep_recipe import SweepRecipe, values_of
from flexpose_ray.engine.adapt.one import BaseGenerator, check_shots
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.sweep.adapt_trial import TrialInputs, adapt_trial, draw_name
from flexpose_ray.engine.sweep.results import Row, read_rows, save_recipe
from flexpose_ray.engine.sweep.scheduler import make_scheduler
from flexpose_ray.engine.sweep.search import make_searcher
from flexpose_ray.engine.sweep.tuner import Trials, run_missing
from flexpose_ray.errors import ConfigError
from flexpose_ray.evaluation.target import split_target
from flexpose_ray.judging.scores import halves
from flexpose_ray.networks.transfer import layer_set
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.base import Store


class Inputs:
    """What trials over adaptation learn from and are judged by, read and checked.

    Attributes:
        base: the generator.
        held: held-out target poses, the same for all trials, ``sweep.samples`` at most.
        shots: the annotated poses by :func:`draw_name`.
    """

    def __init__(self, recipe: SweepRecipe):
        sweep = recipe.sweep
        self.base = BaseGenerator.load(recipe.generator)
        parts, self.shots = self.base.parts, {}
        for layers in values_of(recipe, "adapt.layers"):
            layer_set(layers, parts.generator.n_layers)
        held, _, rest = split_target(recipe.target)
        for per_label in values_of(recipe, "target.shots_per_label"):
            for seed in values_of(recipe, "target.seed"):  # other shots, the same held-out part
                shots = rest.pick_shots(per_label, seed)
                check_shots(shots, recipe.adapt, parts.alpha.skeleton_name, parts.generator.n_layers, recipe.generator)
                self.shots[draw_name(per_label, seed)] = shots.keypoints_NJ2
        halves(held)  # the metrics need enough poses for two halves
        self.held = _subset(held, sweep.samples, sweep.seed)


def run_adaptations(recipe: SweepRecipe, store: Store, on_row: Callable[[Row], None]) -> None:
    """Run the trials of a sweep over adaptation that have not ended yet.

    Raises:
        ConfigError: a point that cannot be run, or no node has room for a trial.
        FlexPoseError: bad data, weights or storage.
    """
    sweep, inputs = recipe.sweep, Inputs(recipe)
    save_recipe(store, recipe)
    cpus = math.ceil((sweep.slots or os.cpu_count() or 1) * sweep.cpus)
    with ray_session(cpus=cpus):
        slots = free_slots(recipe)
        shared = TrialInputs.put(recipe, inputs.base.parts, inputs.held, inputs.shots)
        longest = max(values_of(recipe, "adapt.steps"))
        trials = Trials(
            count=sweep.count,
            trainable=tune.with_parameters(adapt_trial, inputs=shared),
            resources={"CPU": sweep.cpus, "GPU": sweep.gpus} if sweep.gpus else {"CPU": sweep.cpus},
            slots=slots,
            make_searcher=lambda missing: make_searcher(sweep, missing, store),
            make_scheduler=lambda: make_scheduler(sweep, "step", longest, read_rows(store)),
        )
        run_missing(store, trials, on_row)


def free_slots(recipe: SweepRecipe) -> int:
    """Trials over adaptation that may run at a time on the Ray that runs.

    Raises:
        ConfigError: there is no room for a single one.
    """
    sweep, slots = recipe.sweep, recipe.sweep.slots or recipe.sweep.count
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, kind, wanted in (("cpus", "CPU", sweep.cpus), ("gpus", "GPU", sweep.gpus)):
        if wanted > max((node.get(kind, 0) for node in nodes), default=0):
            problem = f"a trial needs {wanted:g} {kind}, but no node has that much"
            raise ConfigError(f"sweep.{name}", problem, "lower it, or join a cluster of larger nodes with RAY_ADDRESS")
        if wanted:
            slots = min(slots, int(sum(node.get(kind, 0) // wanted for node in nodes)))
    return sweep.slots or slots


def _subset(poses: PoseSet, count: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).permutation(len(poses))[:count]
    return poses.keypoints_NJ2[rows]
