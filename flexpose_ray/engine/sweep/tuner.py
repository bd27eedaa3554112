"""Trials through Ray Tune, and their rows to storage.

Tune starts trials, hears their reports and stops the bad ones. Its own records lie in a folder that is thrown away:
what is done is what has a row, and a call runs the trials that have none.
"""

from __future__ import annotations

import gc
import logging
import math
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from flexpose_ray.engine.runtime.metrics import TASKS
from flexpose_ray.engine.sweep.results import Row, ended_trials, write_row
from flexpose_ray.engine.sweep.search import Points
from flexpose_ray.engine.train.failures import innermost_line
from flexpose_ray.errors import FlexPoseError, TrainingError
from flexpose_ray.storage.base import Store

TUNE = "tune"  # below a sweep, what Tune keeps while trials breed
CREDENTIALS = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"}
ROUND = 250  # trials by one Tuner: it keeps 35 kB of each
RETRIES = 1  # of a trial whose worker died; what goes wrong within a trial is its result
LOOK = ("step", "kimg", "loss", "fd", "mmd2", "seconds")  # what a row's curve keeps of a report
SCORES = ("fd", "mmd2", "density", "coverage", "loss", "seconds")
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our rows are the log
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a failed trial has no score
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C ends the command, not the round alone
    "TUNE_FORCE_TRIAL_CLEANUP_S": "5",  # a worker that was told to stop and trains on is killed
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
}


class Recorder(tune.Callback):
    """Writes a trial's row when it has ended; runs in the driver.

    Attributes:
        failure: why storage could not be written; the sweep has to end then.
    """

    def __init__(self, store: Store, on_row: Callable[[Row], None]):
        self.store, self.on_row = store, on_row
        self.curves: dict[str, list[dict]] = {}
        self.began: dict[str, float] = {}
        self.failure: FlexPoseError | None = None

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info) -> None:
        self.curves.setdefault(trial.trial_id, [])
        self.began.setdefault(trial.trial_id, time.time())

    def on_trial_result(self, iteration: int, trials: list[Trial], trial: Trial, result: dict, **info) -> None:
        look = {name: result[name] for name in LOOK if _is_finite(result.get(name))}
        curve = self.curves[trial.trial_id]
        while curve and _time(curve[-1]) >= _time(look):  # a second try comes by again
            curve.pop()
        curve.append({**look, "point": result["config"]["point"]})

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info) -> None:
        self._write(trial, trial.last_result)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info) -> None:
        error = trial.get_error()
        reason = innermost_line(error) if error is not None else "no reason given"
        self._write(trial, {**trial.last_result, "status": "failed", "error": f"its worker died: {reason}"})

    def _write(self, trial: Trial, result: dict) -> None:
        now, began = time.time(), self.began.pop(trial.trial_id, None)
        curve = self.curves.pop(trial.trial_id, [])
        point = trial.config["point"]
        row = {
            "trial": int(str(trial)),  # its config may be another's, where trials breed
            "point": point,
            "status": result.get("status", "stopped"),
            "error": result.get("error"),
            "step": next((_time(look) for look in curve[::-1] if _time(look)), None),
            "scores": {name: float(result[name]) for name in SCORES if _is_finite(result.get(name))},
            "curve": [{name: value for name, value in look.items() if name != "point"} for look in curve],
            "started": began if began else result.get("started", now),
            "ended": result.get("ended", now),
            "worker": result.get("worker"),
        }
        if result.get("generator"):
            row["generator"] = result["generator"]
        lineage = [look["point"] for look in curve]
        if any(other != point for other in lineage):  # bred: what it was at every look
            row["lineage"] = lineage
        try:
            if self.failure is None and write_row(self.store, row):
                TASKS.record(1, kind="trial")
                self.on_row(row)
        except FlexPoseError as error:
            self.failure = error

    def __getstate__(self) -> dict:
        return {}  # Tune keeps a copy of its callbacks on disk; nothing of ours is taken from there


class _Halt(tune.Stopper):
    """Ends a round whose rows cannot be written."""

    def __init__(self, recorder: Recorder):
        self.recorder = recorder

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.recorder.failure is not None

    def __getstate__(self) -> dict:
        return {}


def run_missing(
    store: Store,
    count: int,
    trainable: Callable[[dict], None],
    resources: Any,
    slots: int,
    make_search: Callable[[list[int]], Points],
    make_stopper: Callable[[], TrialScheduler],
    on_row: Callable[[Row], None] = lambda row: None,
    reuse: bool = True,
    breeds: bool = False,
) -> None:
    """Run trials until every number below ``count`` has its row.

    Args:
        store: of the sweep.
        trainable: function of Tune; its config has ``trial`` and ``point``.
        resources: of a trial, as for ``tune.with_resources``.
        slots: trials at a time.
        make_search: who hands out points for the numbers that it is given.
        make_stopper: who stops trials early.
        on_row: takes the rows as they are written.
        reuse: let one worker run trial after trial.
        breeds: trials take over each other's checkpoints, which Tune then keeps below the sweep until the end.

    Raises:
        StorageError: a row cannot be written.
        TrainingError: Tune ends without having run anything.
    """
    os.environ.update(ENVIRONMENT)
    # Tune would put the driver's credentials into the environment of every trial, which Ray writes to its logs.
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(CREDENTIALS)  # nodes have their own
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    while missing := sorted(set(range(count)) - ended_trials(store)):
        batch, recorder = missing[:ROUND], Recorder(store, on_row)
        space, search = {}, make_search(batch)
        if breeds:  # Tune breeds no points of a searcher
            points = {number: search.choose(number, "") for number in batch}
            space = {"trial": tune.grid_search(batch), "point": tune.sample_from(lambda s, p=points: p[s.config.trial])}
            search = None
        with (
            warnings.catch_warnings(),
            tempfile.TemporaryDirectory(prefix="flexpose-sweep-", ignore_cleanup_errors=True) as folder,
        ):
            warnings.simplefilter("ignore")
            tune.Tuner(
                tune.with_resources(trainable, resources),
                param_space=space,
                tune_config=tune.TuneConfig(
                    search_alg=search,
                    scheduler=make_stopper(),
                    num_samples=1 if breeds else len(batch),
                    max_concurrent_trials=slots,
                    reuse_actors=reuse,
                    trial_name_creator=lambda trial: f"{trial.config['trial']:06d}",
                    trial_dirname_creator=lambda trial: f"{trial.config['trial']:06d}",
                ),
                run_config=tune.RunConfig(
                    name=f"round-{time.time_ns()}",
                    storage_path=f"{store.uri}/{TUNE}" if breeds else folder,
                    callbacks=[recorder],
                    stop=_Halt(recorder),
                    failure_config=tune.FailureConfig(max_failures=RETRIES),
                    verbose=0,
                ),
            ).fit()
        if recorder.failure is not None:
            raise recorder.failure
        for key in store.list(f"{TUNE}/"):
            store.delete(key)
        del search
        gc.collect()  # a Tuner's trials hold each other
        if not ended_trials(store) & set(batch):
            raise TrainingError(
                "sweep", "Ray Tune ran no trial to its end", "see to the cluster, then repeat the command"
            )


def _time(look: dict) -> float:
    """How far a trial was at a look; 0 where it does not say."""
    return look.get("step", look.get("kimg", 0))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
