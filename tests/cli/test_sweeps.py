"""`flexpose sweep`, `sweep show` and `sweep best` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flexpose_ray.cli import main
from flexpose_ray.config import load_recipe
from flexpose_ray.engine.sweep.results import save_recipe, write_row
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.storage.open import open_store
from tests.engine.sweep.sweeps import made_row, small_sweep


@pytest.fixture
def swept(tiny_generator: str, tmp_path: Path) -> str:
    """A sweep's folder whose best point is layers [1, 3], though one seed of "w" was lucky."""
    recipe, store = small_sweep(tiny_generator), open_store(tmp_path / "swept")
    save_recipe(store, recipe)
    for trial, fd in enumerate([0.5, 0.5, 0.31, 0.33, 0.2, 0.6]):
        write_row(store, made_row(trial, recipe.sweep.point(trial), fd=fd))
    return store.uri


def told(capsys, *command: str) -> tuple[int, str, str]:
    status = main([*command])
    return status, *capsys.readouterr()


def test_show_lists_the_best_first(capsys, swept: str):
    status, out, _ = told(capsys, "sweep", "show", swept)
    assert status == 0 and "6 done" in out
    lines = [line for line in out.splitlines() if "layers" in line]
    assert "layers 1+3" in lines[0] and "0.3200 ± 0.0141" in lines[0]
    assert "in 1 of 2 seeds: within what seeds alone change" in out
    found = json.loads(told(capsys, "sweep", "show", swept, "--json")[1])
    assert found["best"]["point"] == {"adapt.layers": [1, 3]}


def test_best_writes_a_recipe_and_its_model(capsys, swept: str, tmp_path: Path):
    before = open_store(swept).list()
    assert told(capsys, "sweep", "best", swept, "--dry-run")[0] == 0
    assert open_store(swept).list() == before, "a dry run wrote something"
    status, out, _ = told(capsys, "sweep", "best", swept, "--out", str(tmp_path / "best"), "--json")
    done = json.loads(out)
    assert status == 0 and done["mean"]["fd"] == pytest.approx(0.32)
    recipe = load_recipe(done["recipe"])
    assert recipe.adapt.layers == (1, 3) and recipe.adapt.steps == 4 and recipe.target.shots_per_label == 4
    sampler = load_sampler(done["model"])
    assert set(sampler.transfer.maps) == {"1", "3"} and len(sampler.shots_SJ2) == 4
    again = json.loads(told(capsys, "sweep", "best", swept, "--out", str(tmp_path / "best"), "--json")[1])
    assert again == done


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("sweep", "recipe: expected exactly one"),
        ("sweep show", "sweep show: no sweep named"),
        ("sweep best", "sweep best: no sweep named"),
        ("sweep show .", "no sweep here (no sweep.json)"),
        ("sweep best .", "no sweep here (no sweep.json)"),
        ("sweep quickstart somewhere", "quickstart: expected show or best"),
        ("sweep quickstart", "quickstart: sweep: Field required"),
        ("sweep sweep_quick --out x", "--out: is for best alone"),
        ("sweep show . --set a.b=1", "takes no settings"),
        ("sweep sweep_quick --set sweep.space={adapt.ler:[1]}", "adapt.ler"),
        ("sweep sweep_quick --set sweep.space.adapt=1", "adapt: give a list"),
    ],
)
def test_bad_commands_are_one_line(capsys, command: str, problem: str, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = told(capsys, *command.split())
    assert status == 2 and out == "" and err.count("\n") == 1 and problem in err, err
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_without_any_good_trial_has_no_best(capsys, tiny_generator: str, tmp_path: Path):
    recipe, store = small_sweep(tiny_generator), open_store(tmp_path / "swept")
    save_recipe(store, recipe)
    write_row(store, made_row(0, recipe.sweep.point(0), "failed"))
    status, _, err = told(capsys, "sweep", "best", store.uri)
    assert status == 2 and "no trial has completed (1 failed)" in err
    status, out, _ = told(capsys, "sweep", "show", store.uri)
    assert status == 0 and "trial 0: TrainingError: bad" in out


@pytest.mark.slow
def test_a_sweep_from_plan_to_report(capsys, ray_cluster, tiny_generator: str, tmp_path: Path):
    changes = {"generator": tiny_generator, "target.poses": "synthetic:rowing?count=300", "adapt.steps": 2}
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    command = ["sweep", "sweep_quick", *options, "--storage", str(tmp_path), "--json"]
    status, _, planned = told(capsys, *command, "--dry-run")
    assert status == 0 and "would run 8 trials over adapt" in planned
    assert list(tmp_path.iterdir()) == []
    status, out, err = told(capsys, *command)
    assert status == 0, err
    found = json.loads(out)
    assert found["trials"]["done"] == 8
    folder = Path(found["uri"])
    names = {path.name for path in folder.iterdir()}
    assert names == {"sweep.json", "trials", "trials.parquet", "summary.json", "report.html"}
    assert yaml.safe_load((folder / "sweep.json").read_text())["adapt"]["steps"] == 2
