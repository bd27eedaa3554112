"""Turning Tune's reports into rows on storage, in the driver."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from ray import tune
from ray.tune.experiment import Trial

from flexpose_ray.engine.runtime.errors import innermost_line
from flexpose_ray.engine.runtime.metrics import TASKS
from flexpose_ray.engine.sweep.results import Row, write_row
from flexpose_ray.errors import FlexPoseError
from flexpose_ray.storage.base import Store

CURVE = ("step", "kimg", "loss", "fd", "mmd2", "seconds")  # what a row's curve keeps of a report
SCORES = ("fd", "mmd2", "density", "coverage", "loss", "seconds")


class Recorder(tune.Callback):
    """Collects every trial's reports, and writes its row when it has ended.

    Attributes:
        failure: why storage could not be written; None so far. The sweep has to end then.
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
        look = {name: result[name] for name in CURVE if _is_finite(result.get(name))}
        curve = self.curves[trial.trial_id]
        while curve and _time(curve[-1]) >= _time(look):  # a second attempt reports the same steps again
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
            "trial": int(str(trial)),  # in a population its config may be another's
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
        if any(other != point for other in lineage):  # a member of a population: its point at every look
            row["lineage"] = lineage
        try:
            if self.failure is None and write_row(self.store, row):
                TASKS.record(1, kind="trial")
                self.on_row(row)
        except FlexPoseError as error:
            self.failure = error

    def __getstate__(self) -> dict:
        return {}  # Tune saves its callbacks to disk, but nothing is ever restored from there


class StopOnFailure(tune.Stopper):
    """Ends all trials once a row cannot be written."""

    def __init__(self, recorder: Recorder):
        self.recorder = recorder

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        return self.recorder.failure is not None

    def __getstate__(self) -> dict:
        return {}


def _time(look: dict) -> float:
    """How far a trial was at a report; 0 where that is not in it."""
    return look.get("step", look.get("kimg", 0))


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
