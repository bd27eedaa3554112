"""Points of trials: handed out once, and chosen with what earlier calls found."""

from __future__ import annotations

import numpy as np
from ray.tune.search import Searcher

from flexpose_ray.config.sweep import Range, SweepConfig
from flexpose_ray.engine.sweep.search import Points, Tpe
from tests.engine.sweep.sweeps import made_row

SPACE = {
    "adapt.lr": Range(loguniform=(1e-4, 1.0)),
    "adapt.layers": ([1], [1, 3], "w"),
    "adapt.mixup": Range(randint=(0, 9)),
}
TPE = SweepConfig(space=SPACE, algorithm="optuna", trials=100)


def score(point: dict) -> float:
    return abs(np.log10(point["adapt.lr"]) + 2) + (point["adapt.layers"] != "w")


def test_missing_numbers_are_handed_out_once():
    sweep = SweepConfig(space={"adapt.mixup": [10, 20, 30]})
    points = Points(sweep, [0, 2])
    assert [points.suggest("a"), points.suggest("b")] == [
        {"trial": 0, "point": {"adapt.mixup": 10}},
        {"trial": 2, "point": {"adapt.mixup": 30}},
    ]
    assert points.suggest("c") == Searcher.FINISHED


def test_optuna_learns_from_earlier_rows():
    rng = np.random.default_rng(0)
    earlier = [{key: d.draw(rng) if isinstance(d, Range) else d[rng.integers(3)] for key, d in SPACE.items()}
               for _ in range(40)]  # fmt: skip
    rows = [made_row(i, point, fd=score(point)) for i, point in enumerate(earlier)]
    rows.append(made_row(40, earlier[0], "failed"))
    tpe, found = Tpe(TPE, list(range(41, 71)), rows), []
    for trial in range(30):
        point = tpe.suggest(str(trial))["point"]
        assert (
            1e-4 <= point["adapt.lr"] <= 1
            and 0 <= point["adapt.mixup"] <= 9
            and point["adapt.layers"] in SPACE["adapt.layers"]
        )
        found.append(score(point))
        tpe.on_trial_complete(str(trial), {"status": "done", "fd": found[-1]})
    assert np.median(found) < 0.5 * np.median([row["scores"]["fd"] for row in rows[:40]])
    assert tpe.suggest("last") == Searcher.FINISHED


def test_optuna_takes_failed_trials_and_several_objectives():
    sweep = SweepConfig(space=SPACE, algorithm="optuna", trials=9, objectives=("fd", "coverage"))
    tpe = Tpe(sweep, list(range(9)), [])
    for trial in range(9):
        tpe.suggest(str(trial))
        result = {"status": "done", "fd": 1.0, "coverage": 0.1} if trial % 2 else {"status": "failed"}
        tpe.on_trial_complete(str(trial), result)
    assert len(tpe.study.best_trials) > 0 and not tpe.asked
