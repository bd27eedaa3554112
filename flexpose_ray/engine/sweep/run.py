"""Sweeps: one recipe at many points, by Ray Tune, over adaptation or pretraining. results.py lists what is written."""

from __future__ import annotations

import json
from collections.abc import Callable

from flexpose_ray.config.sweep_recipe import SweepRecipe, check_points, sweep_key
from flexpose_ray.engine.sweep.adaptations import run_adaptations
from flexpose_ray.engine.sweep.results import SUMMARY, Row, ended_trials, read_rows, saved_recipe, write_table
from flexpose_ray.engine.sweep.search import import_optuna
from flexpose_ray.engine.sweep.summary import summarise
from flexpose_ray.engine.sweep.trainings import run_trainings
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

Progress = Callable[[int, int], None]  # trials ended, trials in all


def run_sweep(recipe: SweepRecipe, storage: str, on_progress: Progress = lambda done, total: None) -> dict:
    """Run all trials of a sweep that have not ended yet; a killed or extended one is continued.

    Args:
        recipe: with a ``sweep``.
        storage: folder or s3:// under which the sweep's folder is created.
        on_progress: takes (trials ended, trials in all).

    Returns:
        The summary; see :func:`summarise`.

    Raises:
        ConfigError: a point that cannot be run, a package that is not installed, or too little room for a trial.
        FlexPoseError: bad data, weights or storage. What the recipe names is read before anything is written.
    """
    check_points(recipe)
    sweep, store = recipe.sweep, open_store(storage).child(sweep_key(recipe))
    if sweep.algorithm == "optuna":
        import_optuna()
    ended = ended_trials(store)
    on_progress(len(ended), sweep.count)
    if not set(range(sweep.count)) <= ended:
        run_trials = run_trainings if sweep.over == "pretrain" else run_adaptations
        run_trials(recipe, store, _count_rows(len(ended), sweep.count, on_progress))
    return _conclude(store)


def _count_rows(done: int, total: int, on_progress: Progress) -> Callable[[Row], None]:
    """A function that takes rows and reports how many trials have ended by now."""

    def count(row: Row) -> None:
        nonlocal done
        done += 1
        on_progress(done, total)

    return count


def _conclude(store: Store) -> dict:
    """Write table and summary anew from the rows; returns the summary."""
    recipe, rows = saved_recipe(store), read_rows(store)
    summary = summarise(store, recipe.sweep, rows)
    if rows:
        write_table(store, rows)
    store.put(SUMMARY, json.dumps(summary, indent=1).encode())
    return summary
