"""Running trials with Ray Tune.

Tune starts trials, receives their reports and stops the bad ones. Its own records lie in a folder that is thrown away:
a trial is done once it has a row, and a call runs the trials that have none.
"""

from __future__ import annotations

import gc
import logging
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.schedulers import TrialScheduler

from flexpose_ray.engine.sweep.recorder import Recorder, StopOnFailure
from flexpose_ray.engine.sweep.results import Row, ended_trials
from flexpose_ray.engine.sweep.search import Points
from flexpose_ray.errors import TrainingError
from flexpose_ray.storage.base import Store

TUNE = "tune"  # folder below a sweep for what Tune keeps of a population
CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}
ROUND = 250  # trials by one Tuner: it keeps 35 kB of each
RETRIES = 1  # of a trial whose worker died; an error within a trial is its result
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our rows are the log
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial has no score
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command, not the round alone
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # a worker that was asked to stop and trains on is killed
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


@dataclass(frozen=True)
class Trials:
    """The trials of a sweep, and how Tune runs them.

    Attributes:
        count: how many; their numbers are those below it.
        trainable: function of Tune; its config has ``trial`` and ``point``.
        resources: of a trial, as for ``tune.with_resources``.
        slots: trials at a time.
        make_searcher: makes what chooses the points of the trials that it is given.
        make_scheduler: makes what stops trials early.
        reuse_workers: let one worker run trial after trial.
        population: trials take over each other's checkpoints, which Tune then keeps below the sweep until the end.
    """

    count: int
    trainable: Callable[[dict], None]
    resources: Any
    slots: int
    make_searcher: Callable[[list[int]], Points]
    make_scheduler: Callable[[], TrialScheduler]
    reuse_workers: bool = True
    population: bool = False


def run_missing(store: Store, trials: Trials, on_row: Callable[[Row], None] = lambda row: None) -> None:
    """Run trials until every one of them has its row.

    Args:
        store: the sweep's folder.
        on_row: takes the rows as they are written.

    Raises:
        StorageError: a row cannot be written.
        TrainingError: Tune ends without having run anything.
    """
    os.environ.update(ENVIRONMENT)
    # Tune would put the driver's credentials into the environment of every trial, which Ray writes to its logs.
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(CREDENTIALS)  # nodes have their own
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    while missing := sorted(set(range(trials.count)) - ended_trials(store)):
        batch, recorder = missing[:ROUND], Recorder(store, on_row)
        _run_round(store, trials, batch, recorder)
        if recorder.failure is not None:
            raise recorder.failure
        for key in store.list(f"{TUNE}/"):
            store.delete(key)
        gc.collect()  # a Tuner's trials reference each other
        if not ended_trials(store) & set(batch):
            hint = "check the cluster, then repeat the command"
            raise TrainingError("sweep", "Ray Tune completed no trial", hint)


def _run_round(store: Store, trials: Trials, batch: list[int], recorder: Recorder) -> None:
    """Let one Tuner run the trials ``batch``."""
    space, searcher = {}, trials.make_searcher(batch)
    if trials.population:  # Tune cannot change points that come from a searcher
        points = {number: searcher.choose(number, "") for number in batch}
        space = {"trial": tune.grid_search(batch), "point": tune.sample_from(lambda spec: points[spec.config.trial])}
        searcher = None
    with (
        warnings.catch_warnings(),
        tempfile.TemporaryDirectory(prefix="flexpose-sweep-", ignore_cleanup_errors=True) as folder,
    ):
        warnings.simplefilter("ignore")
        tune.Tuner(
            tune.with_resources(trials.trainable, trials.resources),
            param_space=space,
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=trials.make_scheduler(),
                num_samples=1 if trials.population else len(batch),
                max_concurrent_trials=trials.slots,
                reuse_actors=trials.reuse_workers,
                trial_name_creator=lambda trial: f"{trial.config['trial']:06d}",
                trial_dirname_creator=lambda trial: f"{trial.config['trial']:06d}",
            ),
            run_config=tune.RunConfig(
                name=f"round-{time.time_ns()}",
                storage_path=f"{store.uri}/{TUNE}" if trials.population else folder,
                callbacks=[recorder],
                stop=StopOnFailure(recorder),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                verbose=0,
            ),
        ).fit()
