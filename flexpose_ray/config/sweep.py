"""The section of a recipe that describes a sweep: its space, its search, its objectives."""

from __future__ import annotations

import json
import math
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, field_validator, model_validator

from flexpose_ray.config.pretraining import Count, Seed
from flexpose_ray.config.reading import Section

Objective = Literal["fd", "mmd2", "density", "coverage", "loss", "seconds"]
HIGHER_IS_BETTER = {"density", "coverage"}
PRETRAINING_OBJECTIVES = {"fd", "mmd2", "seconds"}  # what a training measures of itself
TARGET_KEYS = {
    "target.shots_per_label",
    "target.seed",
}  # that can be swept: all points are judged by the same held-out poses
SWEEP_EXECUTION_KEYS = {"slots", "cpus", "gpus"}  # they do not change the result
Point = dict[str, Any]  # value by dotted key
RANGES = "one of uniform, loguniform, randint: [least, most]"


class Range(Section):
    """Numbers between two bounds, which are included, by one of three distributions."""

    uniform: tuple[float, float] | None = None
    loguniform: tuple[float, float] | None = None
    randint: tuple[int, int] | None = None

    @model_validator(mode="after")
    def _is_one(self):
        if sum(bounds is not None for bounds in (self.uniform, self.loguniform, self.randint)) != 1:
            raise ValueError(RANGES)
        low, high = self.bounds
        if low >= high:
            raise ValueError(f"[{low:g}, {high:g}]: the least must be below the most")
        if self.loguniform and low <= 0:
            raise ValueError(f"[{low:g}, {high:g}]: loguniform needs numbers above 0")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        return self.uniform or self.loguniform or self.randint

    def draw(self, rng: np.random.Generator) -> float | int:
        """Draw one number."""
        low, high = self.bounds
        if self.randint:
            return int(rng.integers(low, high, endpoint=True))
        if self.loguniform:
            return float(np.clip(math.exp(rng.uniform(math.log(low), math.log(high))), low, high))
        return float(rng.uniform(low, high))


Dimension = tuple[Any, ...] | Range


class SweepConfig(Section):
    """What a sweep varies in its recipe; see engine/sweep/run.py."""

    over: Literal["adapt", "pretrain"] = Field("adapt", description="what a trial runs")
    space: dict[str, Dimension] = Field(
        min_length=1,
        description="dotted key -> list of values, or {uniform|loguniform|randint: [least, most]}",
    )
    algorithm: Literal["grid", "random", "optuna"] = "grid"
    trials: Count | None = Field(None, description="number of points; a grid has its own")
    scheduler: Literal["none", "asha", "median", "pbt"] = Field("none", description="rule that stops bad trials early")
    objectives: tuple[Objective, ...] = Field(
        ("fd",), min_length=1, description="the first ranks; several give a Pareto front"
    )
    report_every: Count | None = Field(
        None, description="steps between two reports of FD; of pretraining its eval_kimg"
    )
    grace: float | None = Field(None, gt=0, description="steps (pretraining: kimg) before a trial may be stopped")
    samples: int = Field(2000, ge=64, description="poses on each side when a trial is judged")
    report_samples: int = Field(1000, ge=64, description="poses on each side of a report on the way")
    slots: Count | None = Field(None, description="trials at a time; by default as many as there is room for")
    cpus: float = Field(1.0, gt=0, description="of a trial; of each worker in pretraining")
    gpus: float = Field(0.0, ge=0, description="of a trial, may be a fraction; of each worker in pretraining")
    seed: Seed = 0

    @field_validator("space", mode="before")
    @classmethod
    def _dimensions(cls, space: Any) -> Any:
        """Parse lists and ranges. A bare number in a list of layer sets means the set of that layer."""
        if not isinstance(space, dict):
            return space
        parsed = {}
        for key, dimension in space.items():
            if isinstance(dimension, dict):
                try:
                    dimension = Range.model_validate(dimension)
                except ValidationError as error:
                    fault = error.errors()[0]
                    raise ValueError(f"{key}: {fault['ctx']['error'] if 'ctx' in fault else RANGES}") from None
            elif not isinstance(dimension, list | tuple | Range) or not dimension:
                raise ValueError(f"{key}: give a list of values, or {RANGES}; found {dimension!r}")
            elif key == "adapt.layers":
                dimension = tuple([s] if isinstance(s, int) else s for s in dimension)
            parsed[key] = dimension
        return parsed

    @model_validator(mode="after")
    def _has_a_size(self):
        ranges = [key for key, dimension in self.space.items() if isinstance(dimension, Range)]
        if self.algorithm == "grid" and ranges:
            raise ValueError(f"a grid takes lists only, but {ranges[0]} is a range: choose random or optuna")
        if self.algorithm == "grid" and self.trials:
            raise ValueError("a grid runs all of its points: leave trials out, or choose random or optuna")
        if self.algorithm != "grid" and not self.trials:
            raise ValueError(f"{self.algorithm} needs a number of trials")
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError("an objective is listed twice")
        if repeated := next((key for key, d in self.space.items() if _repeats(d)), None):
            raise ValueError(f"{repeated} lists a value twice")
        return self

    @model_validator(mode="after")
    def _sweeps_what_trials_have(self):
        pretraining = self.over == "pretrain"
        for key in self.space:
            if pretraining != key.startswith("pretrain.") or not (
                pretraining or key.startswith("adapt.") or key in TARGET_KEYS
            ):
                known = "pretrain.KEY" if pretraining else f"adapt.KEY, {', '.join(sorted(TARGET_KEYS))}"
                raise ValueError(f"{key} cannot be swept over {self.over}; possible keys: {known}")
        if pretraining and (unknown := sorted(set(self.objectives) - PRETRAINING_OBJECTIVES)):
            known = ", ".join(sorted(PRETRAINING_OBJECTIVES))
            raise ValueError(f"pretraining does not measure {unknown[0]}, only {known}")
        return self

    @model_validator(mode="after")
    def _scheduler_fits(self):
        pretraining = self.over == "pretrain"
        if self.scheduler != "none" and self.objectives[0] == "seconds":
            raise ValueError(f"{self.scheduler} judges by the first objective, which cannot be seconds")
        if self.scheduler != "none" and not pretraining and self.objectives[0] != "fd":
            raise ValueError(f"{self.scheduler} judges by FD on the way: make fd the first objective")
        if self.scheduler == "pbt" and (not pretraining or self.algorithm != "random"):
            raise ValueError("pbt works on a population of trainings: set over: pretrain, algorithm: random")
        return self

    @property
    def count(self) -> int:
        """Number of trials."""
        if self.algorithm == "grid":
            return math.prod(len(values) for values in self.space.values())
        return self.trials

    @property
    def every(self) -> int | None:
        """Steps between two reports on the way; None where nothing needs them."""
        return self.report_every or (None if self.scheduler == "none" else 20)

    def point(self, trial: int) -> Point:
        """The point of ``trial`` in a grid or random sweep; it does not depend on other trials."""
        if self.algorithm == "grid":
            chosen = {}
            for key, values in reversed(self.space.items()):  # the last key varies fastest
                trial, i = divmod(trial, len(values))
                chosen[key] = values[i]
            return {key: chosen[key] for key in self.space}
        rng = np.random.default_rng([self.seed, trial])
        return {
            key: d.draw(rng) if isinstance(d, Range) else d[int(rng.integers(len(d)))] for key, d in self.space.items()
        }


def point_text(point: Point) -> str:
    """A point in one line, each key without its section."""
    return ", ".join(f"{key.partition('.')[2]} {value_text(value)}" for key, value in point.items()) or "as it is"


def value_text(value: Any) -> str:
    """A value of a dimension in short."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return str(value)


def _repeats(dimension: Dimension) -> bool:
    return isinstance(dimension, tuple) and len({json.dumps(v, default=str) for v in dimension}) < len(dimension)
