"""What the rows of a sweep show: points compared over seeds, the best ones, and how sure that is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

import numpy as np

from flexpose_ray.config.sweep import HIGHER_IS_BETTER, Point, SweepConfig
from flexpose_ray.engine.sweep.results import Row
from flexpose_ray.storage.base import Store

GIVEN = {"target.shots_per_label"}  # what a user has, rather than chooses
SEEDS = {"target.seed", "adapt.seed", "pretrain.seed"}  # points that differ in these alone repeat each other


def group_rows(rows: Iterable[Row], objectives: Iterable[str]) -> list[dict]:
    """Group the completed trials that differ in seeds alone; the best group by the first objective comes first.

    Returns:
        ``point`` (without seeds), ``trials`` (numbers), ``mean`` and ``sd`` by objective (sd None of a single trial),
        ``values`` of the first objective by seeds.
    """
    objectives = list(objectives)
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row["status"] == "done":
            groups.setdefault(json.dumps(_without_seeds(row["point"])), []).append(row)
    found = []
    for same in groups.values():
        scores = {name: np.array([row["scores"][name] for row in same]) for name in objectives}
        found.append(
            {
                "point": _without_seeds(same[0]["point"]),
                "trials": [row["trial"] for row in same],
                "mean": {name: float(x.mean()) for name, x in scores.items()},
                "sd": {name: float(x.std(ddof=1)) if len(x) > 1 else None for name, x in scores.items()},
                "values": {_seeds(row["point"]): row["scores"][objectives[0]] for row in same},
            }
        )
    most = max((len(group["trials"]) for group in found), default=0)
    # A point some of whose seeds failed is not compared on equal terms: it comes after the complete ones.
    return sorted(found, key=lambda g: (len(g["trials"]) < most, cost(objectives[0], g["mean"][objectives[0]])))


def front(groups: list[dict], objectives: Iterable[str]) -> list[dict]:
    """The Pareto front: groups for which no other is better in one objective and at least as good in all."""
    objectives = list(objectives)
    costs = [[cost(name, group["mean"][name]) for name in objectives] for group in groups]

    def dominated(mine: list[float]) -> bool:
        return any(other != mine and all(o <= m for o, m in zip(other, mine, strict=True)) for other in costs)

    return [group for group, mine in zip(groups, costs, strict=True) if not dominated(mine)]


def cost(objective: str, value: float) -> float:
    """A score with its sign changed where higher is better, so that lower is."""
    return -value if objective in HIGHER_IS_BETTER else value


def versus(best: dict, other: dict, objective: str) -> dict:
    """Compare two groups pair by pair, over the seeds that both have.

    Returns:
        ``point`` of the other, ``seeds`` (number of pairs), ``wins`` of the best, ``ahead`` (mean difference, positive
        where the best is better) and ``error`` (its standard error; None for a single pair).
    """
    shared = [seed for seed in best["values"] if seed in other["values"]]
    gaps = np.array([cost(objective, other["values"][s]) - cost(objective, best["values"][s]) for s in shared])
    return {
        "point": other["point"],
        "seeds": len(gaps),
        "wins": int((gaps > 0).sum()),
        "ahead": float(gaps.mean()) if len(gaps) else None,
        "error": float(gaps.std(ddof=1) / math.sqrt(len(gaps))) if len(gaps) > 1 else None,
    }


def winners(groups: list[dict], objective: str) -> list[dict]:
    """For every number of shots that was tried, the best point and how it compares with the second.

    A user has a number of shots rather than chooses it, so only points with the same number compete.

    Returns:
        ``given`` (the point's part that is not chosen), ``best`` (its group) and ``second`` (see :func:`versus`; None
        where there is a single group), in the order of the best.
    """
    races: dict[str, list[dict]] = {}
    for group in groups:
        races.setdefault(json.dumps(_given(group["point"])), []).append(group)
    return [
        {
            "given": _given(best["point"]),
            "best": best,
            "second": versus(best, others[0], objective) if others else None,
        }
        for best, *others in races.values()
    ]


def summarise(store: Store, sweep: SweepConfig, rows: list[Row]) -> dict:
    """Summarise what a sweep has found so far.

    Returns:
        ``uri``, ``trials`` (counts by status, ``missing`` among them), ``objectives``, ``groups`` (see
        :func:`group_rows`), ``best`` (the first group; None before a trial has completed), ``winners`` (see
        :func:`winners`), ``front`` (with several objectives), ``trial_seconds``, ``failures`` (number and error of
        failed trials).
    """
    groups = group_rows(rows, sweep.objectives)
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "stopped", "failed")}
    return {
        "uri": store.uri,
        "trials": {**counts, "missing": max(0, sweep.count - len(rows))},
        "objectives": list(sweep.objectives),
        "best": groups[0] if groups else None,
        "winners": winners(groups, sweep.objectives[0]),
        "front": front(groups, sweep.objectives) if len(sweep.objectives) > 1 else [],
        "groups": groups,
        "trial_seconds": round(sum(row["ended"] - row["started"] for row in rows), 1),
        "failures": [{"trial": row["trial"], "error": row["error"]} for row in rows if row["status"] == "failed"],
    }


def _without_seeds(point: Point) -> Point:
    return {key: value for key, value in point.items() if key not in SEEDS}


def _given(point: Point) -> Point:
    return {key: value for key, value in point.items() if key in GIVEN}


def _seeds(point: Point) -> str:
    return json.dumps([point[key] for key in sorted(SEEDS & point.keys())])
