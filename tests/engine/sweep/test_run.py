"""Sweeps through Ray Tune: every trial once, bad ones told, the same again after a stop; on a folder and on S3."""

from __future__ import annotations

import io
import math
import os
import signal
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from ray import tune

from flexpose_ray.config import parse
from flexpose_ray.config.sweep import SweepConfig
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.sweep import tuner as sweep_tune
from flexpose_ray.engine.sweep.results import TABLE, ended_trials, read_rows, row_key
from flexpose_ray.engine.sweep.run import run_sweep
from flexpose_ray.engine.sweep.scheduler import make_scheduler
from flexpose_ray.engine.sweep.search import Points
from flexpose_ray.engine.sweep.trainings import free_training_slots
from flexpose_ray.engine.sweep.tuner import Trials, run_missing
from flexpose_ray.errors import ConfigError, StorageError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store
from tests.engine.sweep.sweeps import small_sweep

PRETRAIN = {
    "kind": "stylegan", "teacher": "none",
    "alpha": {"size": 16}, "network": {"base": 64, "most": 16}, "beta": {"width": 4, "steps": 20, "batch": 16},
    "batch": 8, "kimg": 0.064, "eval_kimg": 0.032, "report_kimg": 0.032, "eval_samples": 64, "augment_target": None,
    "pose_weight": 0, "track": [],
}  # fmt: skip


def run(store: Store, sweep: SweepConfig, trainable, slots: int = 2, on_row=lambda row: None) -> list[dict]:
    """Trials of any function of Tune."""
    trials = Trials(
        sweep.count, trainable, {"CPU": 1}, slots, lambda missing: Points(sweep, missing),
        lambda: make_scheduler(sweep, "step", 100, read_rows(store)),
    )  # fmt: skip
    run_missing(store, trials, on_row)
    return read_rows(store)


def test_every_point_is_tried_once(tiny_generator: str, ray_cluster, s3_uri: str):
    recipe, told = small_sweep(tiny_generator, report_every=2), []
    found = run_sweep(recipe, s3_uri, lambda done, total: told.append((done, total)))
    assert found["trials"] == {"done": 6, "stopped": 0, "failed": 0, "missing": 0}
    assert told == [(done, 6) for done in range(7)]
    store = open_store(found["uri"])
    rows = read_rows(store)
    assert [row["point"] for row in rows] == [
        {**recipe.sweep.point(trial), "adapt.layers": recipe.sweep.point(trial)["adapt.layers"]} for trial in range(6)
    ]
    for row in rows:
        assert set(row["scores"]) == {"fd", "mmd2", "density", "coverage", "loss", "seconds"}
        assert [look["step"] for look in row["curve"]] == [2, 4] and row["started"] < row["ended"]
    assert len({row["scores"]["fd"] for row in rows}) == 6, "points make no difference"
    table = pq.read_table(io.BytesIO(store.get(TABLE)))
    assert table.column("fd").to_pylist() == [row["scores"]["fd"] for row in rows]
    assert found["best"]["mean"]["fd"] == min(group["mean"]["fd"] for group in found["groups"])

    # A trial that is lost is tried again, to the same result; all others stay.
    lost = rows[2]
    store.delete(row_key(2))
    assert run_sweep(recipe, s3_uri)["best"] == found["best"]
    again = read_rows(store)
    assert again[2]["scores"]["fd"] == lost["scores"]["fd"] and again[2]["ended"] > lost["ended"]
    assert again[:2] + again[3:] == rows[:2] + rows[3:]


def test_a_blend_alone_is_a_point_too(tiny_generator: str, ray_cluster, tmp_path):
    found = run_sweep(
        small_sweep(tiny_generator, space={"adapt.blend": [True], "adapt.layers": ["none"]}), str(tmp_path)
    )
    (row,) = read_rows(open_store(found["uri"]))
    assert row["status"] == "done" and "loss" not in row["curve"][-1], row["error"]


def test_what_fails_is_a_result(tiny_generator: str, ray_cluster, tmp_path):
    recipe = small_sweep(tiny_generator, space={"adapt.lr": [1e-3, 3e37], "adapt.gamma": ["beta", "nowhere.pth"]})
    recipe = recipe.model_copy(update={"adapt": recipe.adapt.model_copy(update={"loss": "perceptual", "steps": 6})})
    found = run_sweep(recipe, str(tmp_path))
    rows = read_rows(open_store(found["uri"]))
    assert [row["status"] for row in rows] == ["done", "failed", "failed", "failed"]
    assert "nowhere.pth" in rows[1]["error"] and "the loss is nan" in rows[2]["error"], rows[2]["error"]
    assert rows[1]["scores"] == {}
    before = [row["ended"] for row in rows]
    assert run_sweep(recipe, str(tmp_path))["trials"]["failed"] == 3
    assert [row["ended"] for row in read_rows(open_store(found["uri"]))] == before, "tried again"


def test_a_worker_that_dies_costs_its_trial_alone(ray_cluster, tmp_path):
    sweep = SweepConfig(space={"adapt.mixup": list(range(6))})
    marks = str(tmp_path / "marks")
    os.mkdir(marks)

    def trial(config: dict) -> None:
        number = config["trial"]
        first = not os.path.exists(f"{marks}/{number}")
        open(f"{marks}/{number}", "a").close()
        if number == 1 or (number == 3 and first):  # one for good, one by bad luck
            os.kill(os.getpid(), signal.SIGKILL)
        tune.report({"status": "done", "step": 1, "fd": float(number)})

    rows = run(open_store(tmp_path / "sweep"), sweep, trial)
    assert [row["trial"] for row in rows] == list(range(6))
    assert [row["status"] for row in rows] == ["done", "failed", "done", "done", "done", "done"]
    assert rows[1]["error"].startswith("its worker died: ") and "\n" not in rows[1]["error"]


def test_bad_trials_are_stopped_early(ray_cluster, tmp_path):
    sweep = SweepConfig(space={"adapt.mixup": list(range(8))}, scheduler="asha", grace=10)

    def trial(config: dict) -> None:
        for step in range(10, 100, 10):
            tune.report({"step": step, "fd": 1.0 + config["trial"]})
        tune.report({"step": 100, "fd": 1.0 + config["trial"], "status": "done"})

    rows = run(open_store(tmp_path), sweep, trial, slots=1)
    assert [row["status"] for row in rows] == ["done"] + ["stopped"] * 7
    assert all(row["step"] == 10 and row["scores"]["fd"] == 1.0 + row["trial"] for row in rows[1:])
    assert [look["step"] for look in rows[0]["curve"]] == list(range(10, 101, 10))


def test_many_empty_trials_are_all_there_and_memory_is_flat(ray_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_tune, "ROUND", 15)
    sweep, memory = SweepConfig(space={"adapt.mixup": list(range(60))}), []

    def trial(config: dict) -> None:
        tune.report({"status": "done", "fd": 1.0})

    rows = run(open_store(tmp_path), sweep, trial, on_row=lambda row: memory.append(psutil.Process().memory_info().rss))
    assert [row["trial"] for row in rows] == list(range(60))
    assert [row["point"]["adapt.mixup"] for row in rows] == list(range(60))
    assert max(memory[45:]) - max(memory[15:30]) < 8e6


def test_storage_that_refuses_ends_the_sweep(ray_cluster, tmp_path, monkeypatch):
    sweep, ran = SweepConfig(space={"adapt.mixup": list(range(50))}), tmp_path / "ran"
    ran.mkdir()

    def trial(config: dict) -> None:
        time.sleep(0.1)
        (ran / str(config["trial"])).touch()
        tune.report({"status": "done", "fd": 1.0})

    def refuse(self, key: str, data: bytes) -> bool:
        raise StorageError(f"{self.uri}/{key}", "no space left", "free some")

    monkeypatch.setattr(LocalStore, "put_if_absent", refuse)
    with pytest.raises(StorageError, match="no space left"):
        run(open_store(tmp_path / "sweep"), sweep, trial)
    assert len(list(ran.iterdir())) < 25, "it went on and on"


def test_bad_input_is_told_before_anything_is_written(tiny_generator: str, ray_cluster, tmp_path):
    for changes, told in (
        ({"space": {"adapt.layers": [1, 9]}}, "style layers 1 to 5"),
        ({"space": {"adapt.lr": [-1]}}, "greater than 0"),
    ):
        with pytest.raises(ConfigError, match=told):
            run_sweep(small_sweep(tiny_generator, **changes), str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match=r"sweep.cpus: a trial needs 64 CPU, but no node has that much"):
        run_sweep(small_sweep(tiny_generator, cpus=64), str(tmp_path))
    with pytest.raises(ConfigError, match=r"sweep.gpus: a trial needs 0.5 GPU"):
        run_sweep(small_sweep(tiny_generator, gpus=0.5), str(tmp_path))
    assert ended_trials(open_store(next(Path(tmp_path).iterdir()))) == set()


def trainings(**changes) -> SweepRecipe:
    sweep = {"over": "pretrain", "space": {"pretrain.lr": [1e-3, math.inf]}, **changes.pop("sweep", {})}
    run = {"name": "pre", "source": "synthetic:rowing?count=300", "pretrain": {**PRETRAIN, **changes}, "sweep": sweep}
    return parse(SweepRecipe, run, "pre.yaml")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"workers": 2, "batch": 16, "sweep": {"slots": 3}},
            "3 trainings at a time need 6 workers of 1 CPU, the cluster has room for 4",
        ),
        ({"workers": 8, "batch": 32}, "1 training at a time needs 8 workers of 1 CPU, the cluster has room for 4"),
    ],
)
def test_too_few_slots_for_the_workers_are_told_at_once(ray_cluster, tmp_path, changes: dict, told: str):
    changes["sweep"] = {"space": {"pretrain.lr": [0.001, 0.002]}, **changes.get("sweep", {})}
    with pytest.raises(ConfigError, match=told) as error:
        run_sweep(trainings(**changes), str(tmp_path))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_slots_default_to_what_there_is_room_for(ray_cluster):
    sweep = {"space": {"pretrain.workers": [1, 2]}}
    assert free_training_slots(trainings(batch=16, sweep=sweep)) == 2  # of 4 CPUs
    assert free_training_slots(trainings(batch=16, sweep={**sweep, "cpus": 0.5})) == 2  # points, with room for 4
    with pytest.raises(ConfigError, match=r"2 workers of 1 CPU and 0.5 GPU, the cluster has room for 0"):
        free_training_slots(trainings(batch=16, sweep={**sweep, "gpus": 0.5}))


@pytest.mark.slow
def test_trainings_run_in_trials(ray_cluster, tmp_path):
    space = {"pretrain.lr": [1e-3, 1e18]}  # the second diverges
    recipe = trainings(sweep={"space": space, "slots": 2, "cpus": 0.5})
    found = run_sweep(recipe, str(tmp_path))
    good, bad = read_rows(open_store(found["uri"]))
    assert good["status"] == "done" and good["scores"].keys() == {"fd", "mmd2", "seconds"}
    assert [look["kimg"] for look in good["curve"]][-1] == 0.064
    assert open_store(good["generator"]).exists("model.json")
    assert bad["status"] == "failed" and "TrainingError" in bad["error"], bad
