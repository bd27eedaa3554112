"""What a sweep leaves: one JSON a finished trial, the truth about what is done; and what follows from all of them.

sweep.json               the recipe
trials/000012.json       put if absent, when the trial has ended, however it did
runs/000012/             of a trial over pretraining: its run
trials.parquet  report.html  summary.json    made of the rows, and made again whenever there are more
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.config.sweep import HIGHER_IS_BETTER, Point, SweepConfig, value_text
from flexpose_ray.storage.base import Store, read_json

RECIPE, TABLE, SUMMARY = "sweep.json", "trials.parquet", "summary.json"
PREFIX = "trials/"
GIVEN = {"target.shots_per_label"}  # what a user has, rather than chooses
SEEDS = {"target.seed", "adapt.seed", "pretrain.seed"}  # points that differ in these alone repeat each other
READERS = 16  # threads; they wait for storage, mostly

Row = dict[str, Any]


def row_key(trial: int) -> str:
    return f"{PREFIX}{trial:06d}.json"


def write_row(store: Store, row: Row) -> bool:
    """Keep a finished trial's row; False where one is there already."""
    return store.put_if_absent(row_key(row["trial"]), json.dumps(row, allow_nan=False).encode())


def ended_trials(store: Store) -> set[int]:
    """Numbers of the trials that have a row."""
    keys = (key.removeprefix(PREFIX).removesuffix(".json") for key in store.iter_keys(PREFIX))
    return {int(key) for key in keys if key.isdigit()}


def read_rows(store: Store) -> list[Row]:
    """The rows of all finished trials, by number.

    Raises:
        StorageError: a row that is no JSON.
    """
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda trial: read_json(store, row_key(trial)), sorted(ended_trials(store))))


def group_rows(rows: Iterable[Row], objectives: Iterable[str]) -> list[dict]:
    """Trials that ran to their end, those that differ in seeds alone together; the best by the first objective first.

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
    # A point of which some seeds failed is not compared on equal terms: it comes after the whole ones.
    return sorted(found, key=lambda g: (len(g["trials"]) < most, cost(objectives[0], g["mean"][objectives[0]])))


def front(groups: list[dict], objectives: Iterable[str]) -> list[dict]:
    """The groups that no other is better than in one objective and at least as good as in all (Pareto)."""
    objectives = list(objectives)
    costs = [[cost(name, group["mean"][name]) for name in objectives] for group in groups]

    def beaten(mine: list[float]) -> bool:
        return any(other != mine and all(o <= m for o, m in zip(other, mine, strict=True)) for other in costs)

    return [group for group, mine in zip(groups, costs, strict=True) if not beaten(mine)]


def cost(objective: str, value: float) -> float:
    """A score with the sign that makes less better."""
    return -value if objective in HIGHER_IS_BETTER else value


def versus(best: dict, other: dict, objective: str) -> dict:
    """How sure it is that one group is better than another: over the seeds that both have, pair by pair.

    Returns:
        ``point`` of the other, ``seeds`` (pairs), ``wins`` of the best, ``ahead`` (mean difference, positive where the
        best is better) and ``error`` (its standard error, None of a single pair).
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
    """For every number of shots that was tried, the best point and how sure that is.

    Shots are what one has, not what one chooses, so that only points of the same number compete.

    Returns:
        ``given`` (the point's part that is not chosen), ``best`` (its group) and ``second`` (see :func:`versus`; None
        of a single one), in the order of the best.
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
    """What a sweep found so far.

    Returns:
        ``uri``, ``trials`` (by status, with those that are ``missing``), ``objectives``, ``groups`` (see
        :func:`group_rows`), ``best`` (the first of them; None before a trial has run to its end), ``winners`` (see
        there), ``front`` (with several objectives), ``trial_seconds``, ``failures`` (number and error of failed
        trials).
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


def write_table(store: Store, rows: list[Row]) -> None:
    """All trials as ``trials.parquet``: numbers as numbers, layer sets and mixed columns as text, curves as lists."""
    columns: dict[str, list] = {name: [row.get(name) for row in rows] for name in ("trial", "status", "step", "error")}
    for key in dict.fromkeys(key for row in rows for key in row["point"]):
        columns[key] = _column([row["point"].get(key) for row in rows])
    for name in dict.fromkeys(name for row in rows for name in row["scores"]):
        columns[name] = [row["scores"].get(name) for row in rows]
    columns |= {name: [row.get(name) for row in rows] for name in ("started", "ended", "worker")}
    for name in ("step", "fd"):
        columns[f"curve_{name}"] = [[float(look[name]) for look in row["curve"] if name in look] for row in rows]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer)
    store.put(TABLE, buffer.getvalue().to_pybytes())


def _column(values: list) -> list:
    present = [v for v in values if v is not None]
    if all(isinstance(v, bool) for v in present):
        return values
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in present):
        whole = all(isinstance(v, int) for v in present)
        return values if whole else [None if v is None else float(v) for v in values]
    return [None if v is None else value_text(v) for v in values]


def _without_seeds(point: Point) -> Point:
    return {key: value for key, value in point.items() if key not in SEEDS}


def _given(point: Point) -> Point:
    return {key: value for key, value in point.items() if key in GIVEN}


def _seeds(point: Point) -> str:
    return json.dumps([point[key] for key in sorted(SEEDS & point.keys())])
