"""What a sweep costs beside its trials: 200 of two seconds on two slots, and 2,000 that do nothing."""

from __future__ import annotations

import time

import psutil
import pytest
from ray import tune

from flexpose_ray.config.sweep import SweepConfig
from flexpose_ray.engine.sweep.results import read_rows
from flexpose_ray.engine.sweep.scheduler import make_scheduler
from flexpose_ray.engine.sweep.search import Points
from flexpose_ray.engine.sweep.tuner import Trials, run_missing
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

SLOTS, TRIALS, TRIAL_S, EMPTY = 2, 200, 2.0, 2000
MOST_OVERHEAD, MOST_BYTES = 1.15, 20e6


def run(store: Store, count: int, trial, on_row=lambda row: None) -> float:
    """Seconds that ``count`` trials of a function took, the start of workers among them."""
    sweep, began = SweepConfig(space={"adapt.mixup": list(range(count))}), time.perf_counter()
    trials = Trials(
        count, trial, {"CPU": 1}, SLOTS, lambda missing: Points(sweep, missing),
        lambda: make_scheduler(sweep, "step", 100, []),
    )  # fmt: skip
    run_missing(store, trials, on_row)
    return time.perf_counter() - began


@pytest.mark.bench
@pytest.mark.timeout(1200)
def test_a_sweep_takes_little_more_than_its_trials(ray_cluster, tmp_path):
    def trial(config: dict) -> None:
        for step in range(4):
            time.sleep(TRIAL_S / 4)
            tune.report({"step": step, "fd": 1.0, "status": "done"})

    seconds = run(open_store(tmp_path), TRIALS, trial)
    bare = TRIALS * TRIAL_S / SLOTS
    print(
        f"\n{TRIALS} trials of {TRIAL_S:g} s on {SLOTS} slots: {seconds:.0f} s, {seconds / bare:.3f} of the bare trials"
    )
    assert seconds <= MOST_OVERHEAD * bare


@pytest.mark.bench
@pytest.mark.timeout(1200)
def test_thousands_of_empty_trials_leave_memory_flat(ray_cluster, tmp_path):
    def trial(config: dict) -> None:
        tune.report({"status": "done", "fd": 1.0})

    memory: list[int] = []
    store = open_store(tmp_path)
    seconds = run(store, EMPTY, trial, lambda row: memory.append(psutil.Process().memory_info().rss))
    grown = max(memory[-500:]) - max(memory[:500])
    rate = EMPTY / seconds
    print(f"\n{EMPTY:,} empty trials: {rate:.0f} a second; after 500 the driver grew by {grown / 2**20:.0f} MiB")
    assert [row["trial"] for row in read_rows(store)] == list(range(EMPTY))
    assert grown < MOST_BYTES
