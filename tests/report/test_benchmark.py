"""The page of a benchmark: self-contained, all rows, failures told, the same page twice."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from flexpose_ray.config import parse
from flexpose_ray.config.benchmark import BenchmarkRecipe
from flexpose_ray.engine.benchmark.table import COLUMNS, summarise
from flexpose_ray.report.benchmark import render_benchmark, write_benchmark_report
from flexpose_ray.storage.local import LocalStore

NAME = "cycling-rowing"
PAIR = {"name": NAME, "generator": "builtin:coco", "target": {"poses": "synthetic:rowing"}}


@pytest.fixture
def table(tmp_path) -> dict:
    values = {"name": "test", "pairs": [PAIR], "methods": ["coral", "flexpose", "flow"], "seeds": [0, 1]}
    recipe, store, cells = parse(BenchmarkRecipe, values, "test"), LocalStore(tmp_path), []
    rng = np.random.default_rng(0)
    for place, row in enumerate(recipe.methods):
        for seed in recipe.seeds:
            made = {"pair": NAME, "row": row, "seed": seed, "make": "", "error": None, "shots": 6, "count": 64}
            made |= dict.fromkeys(COLUMNS, 0.1 * (place + 1) + 0.01 * seed)
            made |= {"floor": {"fd": 0.01, "coverage": 0.6}}
            made |= {"skeleton": "body_15", "poses": rng.random((8, 15, 2)).tolist()}
            if row == "flow":
                made = {"pair": NAME, "row": row, "seed": seed, "make": "", "error": "<out> of memory"}
            store.put(f"cells/{NAME}/{row}-{seed}.json", json.dumps(made).encode())
            cells.append(made)
    return summarise(recipe, cells) | {"run": store.uri}


def test_the_page_shows_every_row_and_loads_nothing(table: dict):
    page = render_benchmark(table, LocalStore(table["run"]))
    assert page == render_benchmark(table, LocalStore(table["run"]))
    assert "CORAL" in page and "FlexPose, the paper&#x27;s setting" in page
    assert '<td class="best">0.1050 ± 0.0071</td>' in page
    assert "&lt;out&gt; of memory" in page and "<out>" not in page
    assert page.count("<svg") == 4  # dots of FD and of coverage, and poses of the two rows that have some
    assert not re.search(r"(src|href)=\"(?!#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_it_is_written_into_the_run(table: dict):
    uri = write_benchmark_report(table)
    assert uri == f"{table['run']}/report.html"
    assert LocalStore(table["run"]).get("report.html").decode().startswith("<!DOCTYPE html>")


def test_a_benchmark_of_failures_has_a_page_too(table: dict):
    table["pairs"][0] |= {"count": None}
    assert "No cell succeeded" in render_benchmark(table, LocalStore(table["run"]))


def test_detectors_have_a_section_of_their_own(table: dict):
    plain = render_benchmark(table, LocalStore(table["run"]))
    assert "What a detector learns" not in plain
    spread, labels = {"mean": 0.05, "std": 0.01}, {"walking": 0.04}
    row = {"name": "coral", "title": "<CORAL>", "ours": False, "runs": 2, "errors": [], "labels": labels}
    row |= {"error": spread, "best_error": spread}
    mean = row | {"name": "mean_pose", "title": "mean target pose", "labels": {}}
    detector = {"side": 64, "steps": 2000, "rows": [mean, row], "agreement": {}, "says": ["It is <so>."]}
    table["pairs"][0]["detector"] = detector
    page = render_benchmark(table, LocalStore(table["run"]))
    assert "2,000 steps" in page and "&lt;CORAL&gt;" in page and "It is &lt;so&gt;." in page
    assert page.count("<svg") == plain.count("<svg") + 1 and "<td>5.00 ± 1.00</td>" in page
    assert "Best error by label" in page and "<td>4.00</td>" in page
    table["pairs"][0]["detector"] = detector | {"rows": [row | {"runs": 0}], "side": None}
    assert "No detector succeeded" in render_benchmark(table, LocalStore(table["run"]))
