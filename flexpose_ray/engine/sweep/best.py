"""The best point of a sweep as a recipe, and its model."""

from __future__ import annotations

import json
from collections.abc import Callable

import yaml

from flexpose_ray.config import Recipe
from flexpose_ray.config.sweep import point_text
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.adapt.one import adapt
from flexpose_ray.engine.sweep.results import read_rows, saved_recipe
from flexpose_ray.engine.sweep.run import Progress, run_sweep
from flexpose_ray.engine.sweep.summary import summarise
from flexpose_ray.errors import ConfigError
from flexpose_ray.evaluation.target import split_target
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

BEST = "best"
RECIPE_FILE, MODEL = "recipe.yaml", "model"


def best_recipe(store: Store) -> Recipe:
    """The sweep's recipe at its best point, by the mean of the first objective over the seeds.

    Seeds stay those of the recipe, because the best of several seeds is luck. After a sweep over pretraining
    ``generator`` is the best one that was trained at the point.

    Raises:
        ConfigError: no sweep in ``store``, or none of its trials has completed.
    """
    swept, rows = saved_recipe(store), read_rows(store)
    summary = summarise(store, swept.sweep, rows)
    if summary["best"] is None:
        problem = f"no trial has completed ({summary['trials']['failed']} failed)"
        raise ConfigError(store.uri, problem, "see `flexpose sweep show`, or repeat `flexpose sweep`")
    recipe = swept.at(summary["best"]["point"]).plain
    if swept.sweep.over == "adapt":
        return recipe
    trials = set(summary["best"]["trials"])
    best = min((row for row in rows if row["trial"] in trials), key=lambda row: row["scores"]["fd"])
    return recipe.model_copy(update={"generator": best["generator"]})


def write_best(uri: str, out: str | None = None, on_step: Callable[[dict], None] = lambda row: None) -> dict:
    """Write ``recipe.yaml`` of the best point and, after a sweep over adaptation, ``model/``, adapted with it.

    Args:
        uri: folder of a sweep.
        out: folder to write to; ``best`` within that folder where None.
        on_step: takes the progress of the adaptation.

    Returns:
        ``recipe`` and ``model`` (URIs; of pretraining the best generator), ``point``, ``mean`` and ``sd`` of the
        objectives, ``trials``.

    Raises:
        ConfigError: as :func:`best_recipe`, or another model at ``out``.
        FlexPoseError: the generator or the target cannot be read, or ``out`` cannot be written.
    """
    store = open_store(uri)
    recipe, swept = best_recipe(store), saved_recipe(store)
    summary = summarise(store, swept.sweep, read_rows(store))
    place, best = open_store(out) if out else store.child(BEST), summary["best"]
    model = recipe.generator
    if swept.sweep.over == "adapt":
        _, shots, _ = split_target(recipe.target)
        model = adapt(recipe.generator, shots, recipe.adapt, place.child(MODEL).uri, on_step)["uri"]
    text = yaml.safe_dump(json.loads(recipe.model_dump_json(exclude_defaults=True)), sort_keys=False)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in best["mean"].items())
    head = (
        f"# The best of {store.uri}: {point_text(best['point'])}\n# {scores} (mean of {len(best['trials'])} trials)\n"
    )
    place.put(RECIPE_FILE, (head + text).encode())
    kept = {name: best[name] for name in ("point", "mean", "sd", "trials")}
    return {"recipe": f"{place.uri}/{RECIPE_FILE}", "model": model, **kept}


def run_to_best(recipe: SweepRecipe, storage: str, on_progress: Progress = lambda done, total: None) -> Recipe:
    """Run what is left of a sweep and return the recipe of its best point, for a run that follows it.

    Every trial learned from its own draw of shots; the run that follows uses the recipe's.

    Raises:
        FlexPoseError: as :func:`run_sweep` and :func:`best_recipe`.
    """
    return best_recipe(open_store(run_sweep(recipe, storage, on_progress)["uri"]))
