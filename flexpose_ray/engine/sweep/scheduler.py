"""Stopping bad trials early, with what earlier calls of the sweep have seen."""

from __future__ import annotations

from dataclasses import dataclass

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from flexpose_ray.config.sweep import HIGHER_IS_BETTER, SweepConfig
from flexpose_ray.engine.sweep.results import Row

REDUCTION = 3  # of the trials that reach a rung of ASHA, one in three goes on


@dataclass(frozen=True)
class _EarlierTrial:
    """A trial of an earlier call, with all that a scheduler reads of it."""

    trial_id: str


def make_scheduler(sweep: SweepConfig, time_attr: str, longest: float, rows: list[Row]) -> TrialScheduler:
    """Tune's scheduler of the kind that the sweep names, which knows the curves of earlier trials.

    Args:
        time_attr: "step" or "kimg", what reports count by.
        longest: length of the longest trial, in that unit.
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
    else:  # trials never yield to others: they would start over
        scheduler = MedianStoppingRule(**goal, grace_period=grace, min_time_slice=float("inf"))
    for row in rows:
        looks = [look for look in row["curve"] if metric in look and time_attr in look]
        trial = _EarlierTrial(f"earlier-{row['trial']}")
        if sweep.scheduler == "asha":
            scheduler.on_trial_add(None, trial)
        for look in looks:  # either call notes a look; neither stops a trial
            if sweep.scheduler == "asha":
                scheduler.on_trial_result(None, trial, look)
            else:
                scheduler.on_trial_complete(None, trial, look)
    return scheduler
