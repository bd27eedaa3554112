"""SIGKILL of a sweep's driver at a third and at two thirds: every trial counts once, and the same point is best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flexpose_ray.config.sweep_recipe import load_sweep
from flexpose_ray.engine.sweep.results import ended_trials, read_rows
from flexpose_ray.engine.sweep.run import run_sweep
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.chaos.kill import kill_driver, wait_until
from tests.engine.sweep.sweeps import small_sweep
from tests.forked import ForkedCommand

TRIALS = 9
TRIAL = "ray::ImplicitFunc"


@pytest.fixture(scope="module")
def recipe(tiny_generator: str, tmp_path_factory) -> Path:
    """Nine points of a few tenths of a second each."""
    space = {"adapt.layers": [1, [1, 3], "w"], "target.seed": [0, 1, 2]}
    made = small_sweep(tiny_generator, space=space, report_every=10)
    made = made.model_copy(update={"adapt": made.adapt.model_copy(update={"steps": 40})})
    file = tmp_path_factory.mktemp("recipe") / "kill.yaml"
    file.write_text(yaml.safe_dump(json.loads(made.model_dump_json(exclude_defaults=True))))
    return file


def kill_at(sweep: ForkedCommand, store: Store, rows: int) -> set[int]:
    """Kill the driver once so many trials have ended; returns the ended ones."""
    wait_until(lambda: len(ended_trials(store)) >= rows, sweep.start())
    kill_driver(sweep, TRIAL)
    return ended_trials(store)


def scores(store: Store) -> list[dict]:
    """All of the rows but the seconds."""
    return [
        {**{k: row[k] for k in ("trial", "point", "status")}, "fd": row["scores"]["fd"], "mmd2": row["scores"]["mmd2"]}
        for row in read_rows(store)
    ]


@pytest.mark.slow
def test_a_sweep_killed_twice_ends_as_an_undisturbed_one(recipe: Path, joins_ray: dict[str, str], tmp_path: Path):
    sweep = ForkedCommand(["sweep", recipe, "--storage", tmp_path / "killed"], joins_ray)
    whole_uri = run_sweep(load_sweep(str(recipe)), str(tmp_path / "whole"))["uri"]
    whole, store = open_store(whole_uri), open_store(tmp_path / "killed" / Path(whole_uri).name)

    kept = kill_at(sweep, store, TRIALS // 3)
    assert TRIALS // 3 <= len(kept) < TRIALS, "not killed amid the sweep"
    first = {row["trial"]: row for row in read_rows(store)}
    kept = kill_at(sweep, store, 2 * TRIALS // 3)
    assert first.keys() < kept and len(kept) < TRIALS
    second = {row["trial"]: row for row in read_rows(store)}
    assert sweep.start().end(200) == 0, sweep.told

    rows = {row["trial"]: row for row in read_rows(store)}
    assert list(rows) == list(range(TRIALS))
    for earlier in (first, second):
        assert all(rows[trial] == row for trial, row in earlier.items()), "what had ended was run again"
    assert scores(store) == scores(whole)
    best, expected = (json.loads(s.get("summary.json"))["best"] for s in (store, whole))
    assert (best["point"], best["mean"]["fd"]) == (expected["point"], expected["mean"]["fd"])
    assert [key for key in store.list() if key != "report.html"] == whole.list(), "left behind, or missing"
