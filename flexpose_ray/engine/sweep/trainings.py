"""Sweeps over pretraining: every trial is a training under Ray Train, with a run's folder of its own.

A trial itself only waits, so it takes no CPU; its workers take what workers take. Whether all trials that shall run at
a time find their workers is seen before the first one starts: Ray Train would wait for them for ever.
"""

from __future__ import annotations

import os
import time
from typing import Any

import ray
from ray import tune

from flexpose_ray.config import parse, pretrain_key
from flexpose_ray.config.sweep_recipe import SweepRecipe, values_of
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.sweep.common import Tell, counter, pin, searcher
from flexpose_ray.engine.sweep.population import (
    Members,
    breed,
    checkpoint_of,
    make_breeder,
    next_home,
    note_home,
    told_run,
)
from flexpose_ray.engine.sweep.results import read_rows
from flexpose_ray.engine.sweep.search import make_scheduler
from flexpose_ray.engine.sweep.trial import Report, report_ended
from flexpose_ray.engine.sweep.tuner import run_missing
from flexpose_ray.engine.train.launch import default_resources
from flexpose_ray.engine.train.run import pretrain, read_recipe_source
from flexpose_ray.engine.train.tracking import check_trackers
from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

STOP_S = 1.0  # for the worker to answer that it stops
WAITS = {"CPU": 0, "memory": 2**20}  # Tune wants a trial to take something


def run_trainings(recipe: SweepRecipe, store: Store, tell: Tell) -> None:
    """Run the trials of a sweep over pretraining that have not ended yet.

    Raises:
        ConfigError: fewer CPUs or GPUs than the workers of one trial, or of ``slots`` trials, want.
        DataError: source poses that cannot be used.
    """
    sweep = recipe.sweep
    read_recipe_source(recipe)
    check_trackers(recipe.pretrain.track)
    with ray_session():
        slots = room_for_trainings(recipe)
        pin(store, recipe)
        breeds = sweep.scheduler == "pbt"
        threads = recipe.pretrain.threads or max(1, (os.cpu_count() or 1) // (slots * _workers(recipe)))
        study = {"recipe": recipe.model_dump(mode="json"), "uri": store.uri, "threads": threads}
        run_missing(
            store,
            sweep.count,
            tune.with_parameters(train_trial, study=study),
            WAITS,
            slots,
            lambda missing: Members(sweep, missing, store) if breeds else searcher(recipe, store, missing),
            lambda: (
                make_breeder(recipe)
                if breeds
                else make_scheduler(sweep, "kimg", max(values_of(recipe, "pretrain.kimg")), read_rows(store))
            ),
            counter(store, sweep.count, tell),
            reuse=False,  # ending the worker ends its training
            breeds=breeds,
        )


def room_for_trainings(recipe: SweepRecipe) -> int:
    """Trainings that may run at a time on the Ray that is there.

    Raises:
        ConfigError: not one, or not as many as the sweep wants.
    """
    share = _share(recipe) or default_resources()
    places = sum(_places(node["Resources"], share) for node in ray.nodes() if node["Alive"])
    workers = _workers(recipe)
    fit = places // workers
    slots = recipe.sweep.slots or min(fit, recipe.sweep.count)
    if slots * workers > places or slots < 1:
        trials = f"{max(slots, 1)} training{'s' if slots > 1 else ''} at a time"
        want = "want" if slots > 1 else "wants"
        each = " and ".join(f"{amount:g} {kind}" for kind, amount in share.items())
        problem = f"{trials} {want} {max(slots, 1) * workers} workers of {each}, the cluster has room for {places}"
        way_out = f"set sweep.slots to {fit} or less" if fit else f"set pretrain.workers to {places} or less"
        raise ConfigError("sweep.slots" if fit else "pretrain.workers", problem, f"{way_out}, or join a larger cluster")
    return slots


def _places(node: dict[str, float], share: dict[str, float]) -> int:
    """Workers that a node has room for; a fraction of a GPU never comes from two."""
    return min(int(node.get(kind, 0) / amount + 1e-6) for kind, amount in share.items())


def _workers(recipe: SweepRecipe) -> int:
    """The most workers that a trial cannot do without."""
    return max(w[0] if isinstance(w, list | tuple) else w for w in values_of(recipe, "pretrain.workers"))


def _share(recipe: SweepRecipe) -> dict[str, float] | None:
    """What a worker takes; None where the sweep does not say, and workers take what they always take."""
    sweep = recipe.sweep
    if sweep.cpus == 1 and not sweep.gpus:
        return None
    return {"CPU": sweep.cpus} | ({"GPU": sweep.gpus} if sweep.gpus else {})


def train_trial(config: dict[str, Any], study: dict[str, Any]) -> None:
    """Run one point and report how it went; a failure is a report too."""
    report_ended(tune.report, lambda report: _train(config["point"], study, report))


def _train(point: dict[str, Any], study: dict[str, Any], report: Report) -> dict:
    swept = parse(SweepRecipe, study["recipe"], "sweep").at(point)
    trial = open_store(study["uri"]).child(f"runs/{int(tune.get_context().get_trial_name()):06d}")
    breeds = swept.sweep.scheduler == "pbt"
    keep = 10_000 if breeds else swept.pretrain.keep  # others may go on from any
    hands = {"threads": study["threads"], "keep": keep}
    recipe = swept.plain.model_copy(update={"pretrain": swept.pretrain.model_copy(update=hands)})
    home, key = "g000", pretrain_key(recipe)
    if breeds:
        donor = told_run(tune.get_checkpoint())
        home = next_home(trial, donor)
        if donor is not None and not donor.startswith(f"{trial.uri}/"):
            breed(open_store(donor), trial.child(home).child(key), key)
        note_home(trial, home, point)
    run = trial.child(home).child(key)
    began = time.perf_counter()

    def note(row: dict) -> None:
        if "fd" in row:
            told = {name: row[name] for name in ("kimg", "fd", "mmd2") if name in row}
            try:
                report(told, checkpoint=checkpoint_of(run.uri)) if breeds else report(told)
            except SystemExit:  # how Tune ends a trial's thread; the training would go on, and its worker wait for it
                time.sleep(STOP_S)
                os._exit(0)

    done = pretrain(recipe, trial.child(home).uri, note, _share(swept))
    scores = {name: done[name] for name in ("fd", "mmd2", "kimg") if done.get(name) is not None}
    return {**scores, "seconds": round(time.perf_counter() - began, 3), "generator": done["generator"]}
