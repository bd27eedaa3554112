"""Choosing the points of trials, with the results of earlier calls: rows on storage are the memory, not Tune."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from flexpose_ray.config.sweep import HIGHER_IS_BETTER, Point, Range, SweepConfig
from flexpose_ray.engine.sweep.results import Row, read_rows
from flexpose_ray.errors import ConfigError
from flexpose_ray.storage.base import Store

STARTUP = 10  # random trials of Optuna before it models anything


class Points(Searcher):
    """Hands out the points of a grid or random sweep, in the order of the trials that are missing."""

    def __init__(self, sweep: SweepConfig, missing: list[int]):
        super().__init__()
        self.sweep, self.missing = sweep, list(missing)

    def suggest(self, trial_id: str) -> dict[str, Any] | str:
        if not self.missing:
            return Searcher.FINISHED
        number = self.missing.pop(0)
        return {"trial": number, "point": self.choose(number, trial_id)}

    def choose(self, number: int, trial_id: str) -> Point:
        """The point of trial ``number``; Tune calls that trial ``trial_id``."""
        return self.sweep.point(number)

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict, **spec) -> bool:
        return True  # all that matters is in the sweep

    def on_trial_complete(self, trial_id: str, result: dict | None = None, error: bool = False) -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        """Tune wants a file; nothing is ever restored from it."""
        open(checkpoint_path, "w").close()

    def restore(self, checkpoint_path: str) -> None:
        raise NotImplementedError("a sweep resumes from its rows")

    def __getstate__(self) -> dict:
        return {}


class Tpe(Points):
    """Optuna's tree-structured Parzen estimator; of several objectives, their hypervolume."""

    def __init__(self, sweep: SweepConfig, missing: list[int], rows: list[Row]):
        super().__init__(sweep, missing)
        self.optuna = import_optuna()
        self.optuna.logging.set_verbosity(self.optuna.logging.ERROR)
        # A resumed sweep must not draw the same points again: the seed moves on with the rows.
        sampler = self.optuna.samplers.TPESampler(
            seed=(sweep.seed + len(rows)) % 2**32, n_startup_trials=STARTUP, constant_liar=True
        )
        directions = ["maximize" if name in HIGHER_IS_BETTER else "minimize" for name in sweep.objectives]
        self.study = self.optuna.create_study(directions=directions, sampler=sampler)
        self.distributions = {key: self._distribution(dimension) for key, dimension in sweep.space.items()}
        self.asked: dict[str, Any] = {}
        for row in rows:
            self._add(row)

    def choose(self, number: int, trial_id: str) -> Point:
        trial = self.asked[trial_id] = self.study.ask(self.distributions)
        return {key: self._value(key, trial.params[key]) for key in self.distributions}

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
        """Add a trial of an earlier call to Optuna's study."""
        scores = row["scores"] if row["status"] == "done" else {}
        params = {key: self._param(key, row["point"][key]) for key in self.distributions}
        trial = self.optuna.trial.create_trial(params=params, distributions=self.distributions, **self._outcome(scores))
        self.study.add_trial(trial)

    def _distribution(self, dimension: tuple | Range):
        kinds = self.optuna.distributions
        if not isinstance(dimension, Range):  # by position: values may be layer sets
            return kinds.CategoricalDistribution(range(len(dimension)))
        if dimension.randint:
            return kinds.IntDistribution(*dimension.randint)
        return kinds.FloatDistribution(*dimension.bounds, log=dimension.loguniform is not None)

    def _value(self, key: str, param: float | int) -> Any:
        dimension = self.sweep.space[key]
        return param if isinstance(dimension, Range) else dimension[param]

    def _param(self, key: str, value: Any) -> float | int:
        dimension = self.sweep.space[key]
        return value if isinstance(dimension, Range) else dimension.index(value)


def make_searcher(sweep: SweepConfig, missing: list[int], store: Store) -> Points:
    """What chooses the points of the trials ``missing`` from the sweep in ``store``."""
    return Tpe(sweep, missing, read_rows(store)) if sweep.algorithm == "optuna" else Points(sweep, missing)


def import_optuna():
    """The package ``optuna``, of the extra ``sweep``.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        hint = "pip install 'flexpose-ray[sweep]', or choose grid or random"
        raise ConfigError("sweep.algorithm", "optuna is not installed", hint) from None
    return optuna
