"""What sweeps over adaptation and over pretraining share."""

from __future__ import annotations

import json
from collections.abc import Callable

from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.sweep.results import RECIPE, Row, ended_trials, read_rows
from flexpose_ray.engine.sweep.search import Points, Tpe
from flexpose_ray.storage.base import Store

Tell = Callable[[int, int], None]  # trials ended, trials in all


def searcher(recipe: SweepRecipe, store: Store, missing: list[int]) -> Points:
    """Who chooses the points of the ``missing`` trials."""
    sweep = recipe.sweep
    return Tpe(sweep, missing, read_rows(store)) if sweep.algorithm == "optuna" else Points(sweep, missing)


def counter(store: Store, total: int, tell: Tell) -> Callable[[Row], None]:
    """Takes rows and tells how many trials have ended by now."""
    done = len(ended_trials(store))

    def count(row: Row) -> None:
        nonlocal done
        done += 1
        tell(done, total)

    return count


def pin(store: Store, recipe: SweepRecipe) -> None:
    """Keep the recipe beside the rows; the folder's name says that it is the same one, but for more trials."""
    store.put(RECIPE, json.dumps(recipe.model_dump(mode="json"), indent=1).encode())
