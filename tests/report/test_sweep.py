"""The page of a sweep: whole, of its own, and saying what the rows say."""

from __future__ import annotations

import re

import pytest

from flexpose_ray.config.sweep import Range, SweepConfig
from flexpose_ray.engine.sweep.summary import summarise
from flexpose_ray.report.sweep import render_sweep
from flexpose_ray.report.sweep_plots import LINE_PT, spread_svg
from flexpose_ray.storage.open import open_store
from tests.engine.sweep.sweeps import made_row

LAYERS = SweepConfig(
    space={
        "adapt.layers": [1, 2, [1, 3], "w"], "target.shots_per_label": [1, 4], "target.seed": [0, 1],
    }, objectives=("fd", "coverage"),
)  # fmt: skip


def rows_of(sweep: SweepConfig) -> list[dict]:
    made = []
    for trial in range(sweep.count):
        point = sweep.point(trial)
        fd = 0.1 * (1 + trial // 4) / point["target.shots_per_label"] + 0.01 * point["target.seed"]
        made.append(made_row(trial, point, fd=fd, coverage=0.2, mmd2=fd, density=1.0, seconds=1.0))
    return made


def page(sweep: SweepConfig, rows: list[dict], tmp_path) -> str:
    return render_sweep("a <sweep>", sweep, summarise(open_store(tmp_path), sweep, rows), rows, "name: a")


def test_labels_of_lines_that_end_together_stand_apart():
    lines = {"one": [(0, 1.0, None), (1, 0.5, None)], "two": [(0, 0.9, 0.1), (1, 0.5, 0.1)], "top": [(1, 1.0, None)]}
    svg = spread_svg("ends", lines, "x", "y")
    heights = {label: float(y) for y, label in re.findall(r'y="([\d.]+)"[^>]*>(one|two|top)<', svg)}
    assert heights.keys() == lines.keys()
    assert heights["one"] - heights["two"] == pytest.approx(LINE_PT, abs=0.1)
    assert heights["two"] - heights["top"] > 5 * LINE_PT


def test_the_page_has_every_section_and_loads_nothing(tmp_path):
    text = page(LAYERS, rows_of(LAYERS), tmp_path)
    headings = re.findall("<h2>(.*?)</h2>", text)
    assert headings == ["The best points", "Layers", "Shots", "Every trial", "When trials ran", "Configuration"]
    assert text.count("<svg") == 5
    assert not re.search(r"(?:src|href)=\"(?!#|data:)|url\((?!#)|<script|@import", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert "a &lt;sweep&gt;" in text and "Pareto" in text
    assert "With shots_per_label 4: best by FD is layers 1, 0.0300." in text
    assert "in 2 of 2 seeds" in text


def test_what_failed_is_told(tmp_path):
    rows = rows_of(LAYERS)
    rows[3] = {**made_row(3, rows[3]["point"], "failed"), "error": "TrainingError: the <loss> is nan"}
    rows[4] = made_row(4, rows[4]["point"], "stopped", fd=0.9)
    text = page(LAYERS, rows, tmp_path)
    assert "trial 3: TrainingError: the &lt;loss&gt; is nan" in text
    assert "1</b><span>trials failed" in text and "1</b><span>trials stopped" in text


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_trials_make_a_page_too(count: int, tmp_path):
    sweep = SweepConfig(
        space={"adapt.lr": Range(loguniform=(1e-4, 1e-1)), "adapt.mixup": (0, 10)}, algorithm="random", trials=3
    )
    rows = [made_row(trial, sweep.point(trial), fd=0.1 * (trial + 1)) for trial in range(count)]
    text = page(sweep, rows, tmp_path)
    assert ("No trial has run to its end" in text) == (count == 0)
    assert ("Every trial" in text) == (count > 1)
