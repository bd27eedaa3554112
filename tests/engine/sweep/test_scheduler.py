"""Schedulers know what earlier calls have seen."""

from __future__ import annotations

import pytest
from ray.tune.schedulers import TrialScheduler

from flexpose_ray.config.sweep import SweepConfig
from flexpose_ray.engine.sweep.scheduler import make_scheduler
from tests.engine.sweep.sweeps import made_row


@pytest.mark.parametrize("scheduler", ["asha", "median"])
def test_a_scheduler_remembers_earlier_trials(scheduler: str):
    sweep = SweepConfig(space={"adapt.mixup": list(range(9))}, scheduler=scheduler, grace=20)
    curves = [[{"step": step, "fd": 0.1 * (trial + 1)} for step in (20, 60, 100)] for trial in range(6)]
    rows = [made_row(trial, {"adapt.mixup": trial}, curve=curve, fd=1.0) for trial, curve in enumerate(curves)]

    def decide(fd: float, rows: list[dict]) -> str:
        made = make_scheduler(sweep, "step", 100, rows)
        trial = type("Trial", (), {"trial_id": "new"})()
        made.on_trial_add(None, trial) if scheduler == "asha" else None
        return made.on_trial_result(type("C", (), {"get_live_trials": list})(), trial, {"step": 60, "fd": fd})

    assert decide(0.05, rows) == TrialScheduler.CONTINUE
    assert decide(0.9, rows) == TrialScheduler.STOP
    assert decide(0.9, []) == TrialScheduler.CONTINUE, "nothing to compare with"
