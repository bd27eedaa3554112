"""Who chooses points and who stops trials, told first of what was found before: storage remembers, not Tune."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher

from flexpose_ray.config.sweep import HIGHER_IS_BETTER, Point, Range, SweepConfig
from flexpose_ray.engine.sweep.results import Row
from flexpose_ray.errors import ConfigError

REDUCTION = 3  # of the trials that reach a rung of ASHA, one in three goes on
STARTUP = 10  # random trials of Optuna before it models anything


class Points(Searcher):
    """Hands out the points of a grid or random sweep whose numbers are missing, in order."""

    def __init__(self, sweep: SweepConfig, missing: list[int]):
        super().__init__()
        self.sweep, self.missing = sweep, list(missing)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if not self.missing:
            return Searcher.FINISHED
        number = self.missing.pop(0)
        return {"trial": number, "point": self.choose(number, trial_id)}

    def choose(self, number: int, trial_id: str) -> Point:
        return self.sweep.point(number)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec) -> bool:
        return True  # all that matters is in the sweep

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        """Tune wants a file; nothing is ever restored from it."""
        open(checkpoint_path, "w").close()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a sweep goes on from its rows")

    def __getstate__(self) -> dict:
        return {}


class Tpe(Points):
    """Optuna's tree-structured Parzen estimator; of several objectives, their hypervolume."""

    def __init__(self, sweep: SweepConfig, missing: list[int], rows: list[Row]):
        super().__init__(sweep, missing)
        self.optuna = import_optuna()
        self.optuna.logging.set_verbosity(self.optuna.logging.ERROR)
        # Resumed, it may not draw what it drew before: the seed moves on with the rows.
        sampler = self.optuna.samplers.TPESampler(
            seed=(sweep.seed + len(rows)) % 2**32, n_startup_trials=STARTUP, constant_liar=True
        )
        directions = ["maximize" if name in HIGHER_IS_BETTER else "minimize" for name in sweep.objectives]
        self.study = self.optuna.create_study(directions=directions, sampler=sampler)
        self.laws = {key: self._law(dimension) for key, dimension in sweep.space.items()}
        self.asked: dict[str, Any] = {}
        for row in rows:
            self._add(row)

    def choose(self, number: int, trial_id: str) -> Point:
        trial = self.asked[trial_id] = self.study.ask(self.laws)
        return {key: self._value(key, trial.params[key]) for key in self.laws}

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        if (trial := self.asked.pop(trial_id, None)) is not None:
            scores = result if result and result.get("status") == "done" else {}
            self.study.tell(trial, **self._outcome(scores))

    def _outcome(self, scores: dict[str, float]) -> dict:
        states = self.optuna.trial.TrialState
        if any(name not in scores for name in self.sweep.objectives):
            return {"state": states.FAIL}
        return {"state": states.COMPLETE, "values": [scores[name] for name in self.sweep.objectives]}

    def _add(self, row: Row) -> None:
        """Let it know of a trial of an earlier call."""
        scores = row["scores"] if row["status"] == "done" else {}
        params = {key: self._param(key, row["point"][key]) for key in self.laws}
        trial = self.optuna.trial.create_trial(params=params, distributions=self.laws, **self._outcome(scores))
        self.study.add_trial(trial)

    def _law(self, dimension: tuple | Range):
        laws = self.optuna.distributions
        if not isinstance(dimension, Range):  # by position: values may be layer sets
            return laws.CategoricalDistribution(range(len(dimension)))
        if dimension.randint:
            return laws.IntDistribution(*dimension.randint)
        return laws.FloatDistribution(*dimension.bounds, log=dimension.loguniform is not None)

    def _value(self, key: str, param: float | int) -> Any:
        dimension = self.sweep.space[key]
        return param if isinstance(dimension, Range) else dimension[param]

    def _param(self, key: str, value: Any) -> float | int:
        dimension = self.sweep.space[key]
        return value if isinstance(dimension, Range) else dimension.index(value)


def import_optuna():
    """The package of the extra ``sweep``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        hint = "pip install 'flexpose-ray[sweep]', or choose grid or random"
        raise ConfigError("sweep.algorithm", "optuna is not installed", hint) from None
    return optuna


@dataclass(frozen=True)
class _Ghost:
    """A trial of an earlier call, as far as a scheduler looks at it."""

    trial_id: str


def make_scheduler(sweep: SweepConfig, time_attr: str, longest: float, rows: list[Row]) -> TrialScheduler:
    """Who stops trials early, knowing the looks at earlier trials.

    Args:
        time_attr: what rows count by: "step", or "kimg".
        longest: the longest trial, in that unit.
        rows: of the trials that have ended.
    """
    if sweep.scheduler == "none":
        return FIFOScheduler()
    metric = sweep.objectives[0]
    goal = {"time_attr": time_attr, "metric": metric, "mode": "max" if metric in HIGHER_IS_BETTER else "min"}
    grace = min(sweep.grace or longest / REDUCTION**2, longest)
    if sweep.scheduler == "asha":
        scheduler = ASHAScheduler(
            **goal, max_t=longest, grace_period=grace, reduction_factor=REDUCTION, stop_last_trials=False
        )
    else:  # a trial that yields to another would begin anew: never
        scheduler = MedianStoppingRule(**goal, grace_period=grace, min_time_slice=float("inf"))
    for row in rows:
        looks = [look for look in row["curve"] if metric in look and time_attr in look]
        ghost = _Ghost(f"earlier-{row['trial']}")
        if sweep.scheduler == "asha":
            scheduler.on_trial_add(None, ghost)
        for look in looks:  # in either way a look is noted, and nobody is stopped
            if sweep.scheduler == "asha":
                scheduler.on_trial_result(None, ghost, look)
            else:
                scheduler.on_trial_complete(None, ghost, look)
    return scheduler
