"""SIGKILL of a sweep's driver at a third and at two thirds: every trial counts once, and the same point is best."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from subprocess import DEVNULL

import psutil
import pytest
import yaml

from flexpose_ray.engine.sweep.results import ended_trials, read_rows
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.chaos.kill import kill_with_all_it_started
from tests.engine.sweep.sweeps import small_sweep

FLEXPOSE = Path(sys.executable).with_name("flexpose")
TRIALS, PATIENCE_S = 12, 200.0


@pytest.fixture(scope="module")
def recipe(tiny_generator: str, tmp_path_factory) -> Path:
    """Twelve points of a few tenths of a second each."""
    space = {"adapt.layers": [1, [1, 3], "w"], "adapt.bias": [True, False], "target.seed": [0, 1]}
    made = small_sweep(tiny_generator, space=space, report_every=10)
    made = made.model_copy(update={"adapt": made.adapt.model_copy(update={"steps": 40})})
    file = tmp_path_factory.mktemp("recipe") / "kill.yaml"
    file.write_text(yaml.safe_dump(json.loads(made.model_dump_json(exclude_defaults=True))))
    return file


def start(recipe: Path, storage: Path | str, ray_folder: str) -> psutil.Popen:
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"RAY_TMPDIR": ray_folder}
    command = [FLEXPOSE, "sweep", recipe, "--storage", storage]
    return psutil.Popen(command, env=env, stdout=DEVNULL, start_new_session=True)


def kill_at(driver: psutil.Popen, store: Store, rows: int) -> set[int]:
    """Kill the driver once so many trials have ended, then what its Ray left running; returns the ended ones."""
    deadline = time.monotonic() + PATIENCE_S
    while len(ended_trials(store)) < rows:
        assert driver.poll() is None and time.monotonic() < deadline, "not reached"
        time.sleep(0.01)
    kill_with_all_it_started(driver)
    return ended_trials(store)


def scores(store: Store) -> list[dict]:
    """All of the rows but the seconds."""
    return [
        {**{k: row[k] for k in ("trial", "point", "status")}, "fd": row["scores"]["fd"], "mmd2": row["scores"]["mmd2"]}
        for row in read_rows(store)
    ]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_killed_twice_ends_as_an_undisturbed_one(recipe: Path, ray_folder: str, tmp_path: Path):
    assert start(recipe, tmp_path / "whole", ray_folder).wait(PATIENCE_S) == 0
    whole = open_store(next((tmp_path / "whole").iterdir()))
    store = open_store(tmp_path / "killed" / Path(whole.uri).name)

    kept = kill_at(start(recipe, tmp_path / "killed", ray_folder), store, TRIALS // 3)
    assert TRIALS // 3 <= len(kept) < TRIALS, "not killed amid the sweep"
    first = {row["trial"]: row for row in read_rows(store)}
    kept = kill_at(start(recipe, tmp_path / "killed", ray_folder), store, 2 * TRIALS // 3)
    assert first.keys() < kept and len(kept) < TRIALS
    second = {row["trial"]: row for row in read_rows(store)}
    assert start(recipe, tmp_path / "killed", ray_folder).wait(PATIENCE_S) == 0

    rows = {row["trial"]: row for row in read_rows(store)}
    assert list(rows) == list(range(TRIALS))
    for earlier in (first, second):
        assert all(rows[trial] == row for trial, row in earlier.items()), "what had ended was run again"
    assert scores(store) == scores(whole)
    best, expected = (json.loads(s.get("summary.json"))["best"] for s in (store, whole))
    assert (best["point"], best["mean"]["fd"]) == (expected["point"], expected["mean"]["fd"])
    assert store.list() == whole.list(), "something was left behind, or is missing"
