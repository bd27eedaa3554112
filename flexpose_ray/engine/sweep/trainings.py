"""The driver of sweeps over pretraining: inputs checked, and how many trainings run at a time.

A trial itself only waits, so it takes no CPU; its workers take what workers take. Whether all trials that shall run at
a time find room for their workers is checked before the first one starts: Ray Train would wait for it for ever.
"""

from __future__ import annotations

from collections.abc import Callable

import ray
from ray import tune

from flexpose_ray.config.sweep_recipe import SweepRecipe, values_of
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.sweep.population import Members, make_population_scheduler
from flexpose_ray.engine.sweep.results import Row, read_rows, save_recipe
from flexpose_ray.engine.sweep.scheduler import make_scheduler
from flexpose_ray.engine.sweep.search import make_searcher
from flexpose_ray.engine.sweep.train_trial import TrainingInputs, train_trial, worker_resources
from flexpose_ray.engine.sweep.tuner import Trials, run_missing
from flexpose_ray.engine.train.job import worker_threads
from flexpose_ray.engine.train.launch import default_resources
from flexpose_ray.engine.train.run import read_recipe_source
from flexpose_ray.engine.train.tracking import check_trackers
from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.base import Store

NEXT_TO_NOTHING = {"CPU": 0, "memory": 2**20}  # Tune wants a trial to take something


def run_trainings(recipe: SweepRecipe, store: Store, on_row: Callable[[Row], None]) -> None:
    """Run the trials of a sweep over pretraining that have not ended yet.

    Raises:
        ConfigError: fewer CPUs or GPUs than the workers of one trial, or of ``slots`` trials, need.
        DataError: source poses that cannot be used.
    """
    sweep = recipe.sweep
    read_recipe_source(recipe)
    check_trackers(recipe.pretrain.track)
    with ray_session():
        slots = free_training_slots(recipe)
        save_recipe(store, recipe)
        population = sweep.scheduler == "pbt"
        flow = recipe.pretrain.kind == "flow"
        longest = recipe.pretrain.goal_kimg if flow else max(values_of(recipe, "pretrain.kimg"))
        threads = worker_threads(recipe.pretrain, slots * _least_workers(recipe))
        inputs = TrainingInputs(recipe.model_dump(mode="json"), store.uri, threads)
        trials = Trials(
            count=sweep.count,
            trainable=tune.with_parameters(train_trial, inputs=inputs),
            resources=NEXT_TO_NOTHING,
            slots=slots,
            make_searcher=lambda missing: (
                Members(sweep, missing, store) if population else make_searcher(sweep, missing, store)
            ),
            make_scheduler=lambda: (
                make_population_scheduler(recipe)
                if population
                else make_scheduler(sweep, "kimg", longest, read_rows(store))
            ),
            reuse_workers=False,  # ending the worker ends its training
            population=population,
        )
        run_missing(store, trials, on_row)


def free_training_slots(recipe: SweepRecipe) -> int:
    """Trainings that may run at a time on the Ray that runs.

    Raises:
        ConfigError: there is no room for one, or for as many as the sweep asks for.
    """
    resources = worker_resources(recipe) or default_resources()
    places = sum(_places(node["Resources"], resources) for node in ray.nodes() if node["Alive"])
    workers = _least_workers(recipe)
    fit = places // workers
    slots = recipe.sweep.slots or min(fit, recipe.sweep.count)
    if slots * workers > places or slots < 1:
        trials = f"{slots} trainings at a time need" if slots > 1 else "1 training at a time needs"
        each = " and ".join(f"{amount:g} {kind}" for kind, amount in resources.items())
        problem = f"{trials} {max(slots, 1) * workers} workers of {each}, the cluster has room for {places}"
        way_out = f"set sweep.slots to {fit} or less" if fit else f"set pretrain.workers to {places} or less"
        raise ConfigError("sweep.slots" if fit else "pretrain.workers", problem, f"{way_out}, or join a larger cluster")
    return slots


def _places(node: dict[str, float], resources: dict[str, float]) -> int:
    """Workers that a node has room for; a fraction of a GPU never comes from two."""
    return min(int(node.get(kind, 0) / amount + 1e-6) for kind, amount in resources.items())


def _least_workers(recipe: SweepRecipe) -> int:
    """The most workers that any trial needs to start."""
    return max(w[0] if isinstance(w, list | tuple) else w for w in values_of(recipe, "pretrain.workers"))
