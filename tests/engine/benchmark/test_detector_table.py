"""The detectors' table: means over draws and seeds, pairs compared pair by pair, judges compared over the rows."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.config import parse
from flexpose_ray.config.benchmark import BenchmarkRecipe
from flexpose_ray.engine.benchmark.detector_table import detector_grid, label_grid, spearman, summarise_detectors

PAIR = {"name": "studio", "generator": "builtin:coco", "target": {"poses": "synthetic:studio"}}
METHODS = ["aligned", "direct", "pose_mixup", "flexpose_blend"]
ERRORS = {"aligned": 0.04, "direct": 0.10, "pose_mixup": 0.07, "flexpose_blend": 0.06}


def recipe() -> BenchmarkRecipe:
    return parse(BenchmarkRecipe, {"name": "test", "pairs": [PAIR], "methods": METHODS, "seeds": [0, 1]}, "test")


def poses_table(fds: dict[str, float]) -> dict:
    rows = []
    for name, fd in fds.items():
        scores = {"fd": {"mean": fd}, "mmd2": {"mean": fd}, "coverage": {"mean": 1 - fd}}
        rows.append({"name": name, "title": name, "draws": 2, **scores})
    return {"name": "studio", "rows": rows}


def cell(row: str, draw: int, seed: int, error: float) -> dict:
    scores = {"error": 2 * error, "best_error": error, "mse": error**2, "flipped": 0.5, "pck10": 0.8}
    labels = {"walking": {"best_error": error}, "waving": {"best_error": 2 * error}}
    place = {"pair": "studio", "row": row, "draw": draw, "seed": seed}
    return place | {"error": None, "scores": scores, "labels": labels, "side": 64, "steps": 100}


def cells(errors: dict[str, float] = ERRORS) -> list[dict]:
    return [cell(r, d, s, e + 0.001 * d + 0.002 * s) for r, e in errors.items() for d in (0, 1) for s in (0, 1)]


def sentences(found: dict, about: str) -> list[str]:
    return [sentence for sentence in found["says"] if about in sentence]


def test_rows_hold_mean_and_spread_over_all_their_detectors():
    found = summarise_detectors(recipe(), poses_table(ERRORS), cells())
    aligned = found["rows"][0]
    assert aligned["runs"] == 4 and aligned["best_error"]["mean"] == pytest.approx(0.0415)
    assert aligned["best_error"]["std"] == pytest.approx(np.std([0.04, 0.041, 0.042, 0.043], ddof=1))
    assert [row["ours"] for row in found["rows"]] == [False, False, False, True]
    head, lines = detector_grid(found)
    assert head[1] == "error" and lines[0][1] == "8.30 ± 0.26"
    head, lines = label_grid(found)
    assert head == ["", "walking", "waving"] and lines[1] == ["direct", "10.15", "20.30"]


def order_said(changes: dict[tuple[int, int], float]) -> str:
    """The sentence on the order, where FlexPose's detectors of (draw, seed) have other best errors."""
    changed = []
    for c in cells():
        error = changes.get((c["draw"], c["seed"])) if c["row"] == "flexpose_blend" else None
        changed.append(c if error is None else c | {"scores": c["scores"] | {"best_error": error}})
    return sentences(summarise_detectors(recipe(), poses_table(ERRORS), changed), "Aligned's")[0]


def test_the_order_is_looked_up_in_every_draw_and_every_detector():
    said = "the best error lies between Aligned's and Direct's in {} draws (mean over seeds), in {} single detectors."
    assert said.format("2 of 2", "4 of 4") in order_said({})
    assert said.format("0 of 2", "2 of 4") in order_said({(0, 1): 0.5, (1, 1): 0.5})
    # one detector above Direct's 0.102, but the draw's mean (0.06 and 0.11) below Direct's 0.101
    assert said.format("2 of 2", "3 of 4") in order_said({(0, 1): 0.11})


def test_a_draw_whose_detectors_are_not_all_there_is_compared_by_those_that_are():
    lost = [("direct", 0, 1), ("aligned", 1, 0), ("direct", 1, 1)]
    there = [c for c in cells() if (c["row"], c["draw"], c["seed"]) not in lost]
    (line,) = sentences(summarise_detectors(recipe(), poses_table(ERRORS), there), "Aligned's")
    assert "in 1 of 1 draws (mean over seeds), in 1 of 1 single detectors" in line


def test_rivals_are_compared_pair_by_pair():
    (line,) = sentences(summarise_detectors(recipe(), poses_table(ERRORS), cells()), "against pose_mixup")
    assert "best error -1.00 ± 0.00 points (mean and standard error of 4 paired differences" in line


def test_judges_agree_as_far_as_their_ranks_do():
    found = summarise_detectors(recipe(), poses_table(ERRORS), cells())
    assert found["agreement"]["fd"] == pytest.approx({"error": 1, "best_error": 1})
    assert found["agreement"]["coverage"] == pytest.approx({"error": -1, "best_error": -1})
    other = poses_table({name: -fd for name, fd in ERRORS.items()})
    assert summarise_detectors(recipe(), other, cells())["agreement"]["fd"]["error"] == pytest.approx(-1)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9487, abs=1e-4)  # ties share 2.5 of 1 to 4
    assert spearman([1, 1, 1], [1, 2, 3]) == 0


def test_failures_are_said_and_nothing_is_made_of_none():
    broken = [*cells(), {"pair": "studio", "row": "supervised", "draw": None, "seed": 0, "error": "out of memory"}]
    found = summarise_detectors(recipe(), poses_table(ERRORS), broken)
    assert found["says"][-1] == "supervised twin failed: out of memory"
    assert detector_grid(found)[1][-1][:2] == ["supervised twin", "failed"]
    assert summarise_detectors(recipe(), poses_table(ERRORS), []) is None
