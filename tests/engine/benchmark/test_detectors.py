"""Detectors as a benchmark's judge: each learns from its row's poses, what is there is kept."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flexpose_ray.config import parse
from flexpose_ray.config.benchmark import BenchmarkRecipe
from flexpose_ray.engine.benchmark import run as module
from flexpose_ray.engine.benchmark.cell import measure, read_pair
from flexpose_ray.engine.benchmark.detectors import judge, read_gallery
from flexpose_ray.engine.benchmark.run import plan_benchmark, run_benchmark
from flexpose_ray.engine.benchmark.table import format_benchmark, markdown, summarise
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.models.generators import load_generator
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.open import open_store
from tests.shared_ray import SharedRay

SETTINGS = {"size": 16, "skeleton_size": 8, "width": 8, "batch": 8, "prepare_steps": 4, "steps": 3}
DETECTOR = {
    "unlabelled": "synthetic:studio?part=pictures&count=48",
    "test": "synthetic:studio?part=test&count=32",
    "poses": 50,
    "mixup": 20,
    "settings": SETTINGS,
    "seeds": [0, 1],
}


def recipe(generator: str, detector: dict | None = None, **changes) -> BenchmarkRecipe:
    pair = {
        "name": "studio",
        "generator": generator,
        "source": "synthetic:cycling?count=100",
        "target": {"poses": "synthetic:studio?count=320", "shots_per_label": 1},
        "detector": DETECTOR | (detector or {}),
    }
    values = {"name": "test", "pairs": [pair], "methods": ["aligned", "coral"], "seeds": [0], "count": 64, **changes}
    return parse(BenchmarkRecipe, values, "test")


@pytest.fixture(scope="module")
def done(shared_ray: SharedRay, tiny_generator: str, tmp_path_factory) -> tuple[str, str, dict]:
    """A finished benchmark: its generator, storage and table."""
    shared_ray.start()
    storage = str(tmp_path_factory.mktemp("runs"))
    return tiny_generator, storage, run_benchmark(recipe(tiny_generator), storage, 2, lambda *at: None)


@pytest.mark.slow
def test_every_row_has_its_detectors_and_references_beside(done):
    _, _, table = done
    detector = table["pairs"][0]["detector"]
    runs = {row["name"]: row["runs"] for row in detector["rows"]}
    assert runs == {"mean_pose": 1, "aligned": 2, "coral": 2, "supervised": 2} and table["failed"] == 0
    store = open_store(table["run"])
    assert len(read_poses(f"{store.uri}/priors/studio/coral-0.parquet")) == 70  # 50 of the method, 20 by mixup
    assert len(read_poses(f"{store.uri}/priors/studio/aligned-0.parquet")) == 50  # a reference has no shots
    kept = json.loads(store.get("detectors/studio/coral-0-1.json"))
    others = [row for row in detector["rows"] if row["name"] == "coral"]
    first = json.loads(store.get("detectors/studio/coral-0-0.json"))
    assert others[0]["error"]["mean"] == pytest.approx((kept["scores"]["error"] + first["scores"]["error"]) / 2)
    assert set(kept["labels"]) == {"walking", "waving"}  # two clips of sixteen pictures
    text = format_benchmark(table)
    assert "supervised twin" in text and "3 steps" in text and "best error by label" in text
    assert store.get("benchmark.md").decode() == markdown(table) and "## studio, detectors" in markdown(table)


@pytest.mark.slow
def test_what_is_there_is_kept_and_a_further_seed_trains_its_own_only(done, monkeypatch):
    generator, storage, table = done
    again = recipe(generator, {"seeds": [0, 1, 2]})
    plan = plan_benchmark(again, storage)
    assert not plan.missing
    assert [cell.key for cell in plan.untrained] == [
        "detectors/studio/supervised-2.json", "detectors/studio/aligned-0-2.json", "detectors/studio/coral-0-2.json"
    ]  # fmt: skip

    def refuse(**_):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(module, "ray_session", refuse)
    assert run_benchmark(recipe(generator), storage, on_progress=lambda *at: None) == table


def test_a_detector_depends_on_its_poses_its_pictures_and_its_settings(tiny_generator: str, tmp_path):
    def makes(**changes) -> dict[str, str]:
        plan = plan_benchmark(recipe(tiny_generator, **changes), str(tmp_path))
        return {cell.key: cell.fingerprint for cell in (*plan.missing, *plan.untrained)}

    base = makes()
    assert len(base) == 2 + 1 + 2 + 4
    steps = makes(detector={"settings": SETTINGS | {"steps": 4}})
    assert {key for key in base if base[key] == steps[key]} == {
        "cells/studio/aligned-0.json",
        "cells/studio/coral-0.json",
    }
    poses = makes(detector={"poses": 60})
    same = {"mean_pose-0", "supervised-0", "supervised-1"}
    assert {key for key in base if base[key] == poses[key]} == {f"detectors/studio/{name}.json" for name in same}


def test_one_detector_learns_from_the_poses_that_it_is_given(tiny_generator: str, tmp_path):
    made = recipe(tiny_generator)
    plan, base, (pair,) = plan_benchmark(made, str(tmp_path)), load_generator(tiny_generator), made.pairs
    poses, priors = read_pair(pair, made, base), []
    assert measure(plan.missing[1], pair, base, poses, made.count, "cpu", priors.append)["error"] is None
    (prior_NJ2,) = priors
    assert prior_NJ2.shape == (70, 15, 2)
    gallery = read_gallery(pair, poses.rest)
    cells = {cell.key.rpartition("/")[2]: cell for cell in plan.untrained}
    one, same, other = (
        judge(cells["coral-0-0.json"], gallery, PoseSet(prior, "body_15"), "cpu")["scores"]
        for prior in (prior_NJ2, prior_NJ2, prior_NJ2[::-1].copy())
    )
    assert one == same != other
    anchored = recipe(tiny_generator, {"annotated": "synthetic:studio?part=pictures&count=6&frames=1"})
    few = read_gallery(anchored.pairs[0], poses.rest)
    assert judge(cells["coral-0-0.json"], few, PoseSet(prior_NJ2, "body_15"), "cpu")["scores"] not in (one, other)
    mean = judge(cells["mean_pose-0.json"], gallery, None, "cpu")["scores"]
    truth_NJ2 = gallery.test.poses.keypoints_NJ2
    assert mean["error"] == pytest.approx(np.linalg.norm(poses.rest.keypoints_NJ2.mean(0) - truth_NJ2, axis=2).mean())
    assert judge(cells["supervised-0.json"], gallery, None, "cpu")["side"] == 16


def test_a_row_may_have_shots_and_poses_of_its_own(tiny_generator: str, tmp_path):
    rows = {"coral": None, "more": {"method": "coral", "shots_per_label": 2, "poses": 90}}
    made = recipe(tiny_generator, methods=rows)
    plan, base, (pair,) = plan_benchmark(made, str(tmp_path)), load_generator(tiny_generator), made.pairs
    poses, priors = read_pair(pair, made, base), []
    usual, more = (measure(cell, pair, base, poses, made.count, "cpu", priors.append) for cell in plan.missing)
    assert (usual["shots"], more["shots"]) == (5, 10)  # of the labels that are not held out
    assert [len(prior_NJ2) for prior_NJ2 in priors] == [70, 110]  # with 20 by mixup
    table = summarise(made, [usual, more])
    assert "CORAL [more: shots_per_label 2, poses 90]" in format_benchmark(table)
    assert "draws of 5 shots where a row names no others, 64 poses a side" in markdown(table)


def test_a_row_that_names_what_is_the_default_stays_what_it_was(tiny_generator: str, tmp_path):
    def makes(row: dict | None) -> list[str]:
        plan = plan_benchmark(recipe(tiny_generator, methods={"coral": row}), str(tmp_path))
        return [cell.fingerprint for cell in (*plan.missing, *plan.untrained)]

    assert makes({"shots_per_label": 1, "poses": 50}) == makes(None)
    assert makes({"shots_per_label": 2})[0] != makes(None)[0] != makes({"poses": 60})[0]


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"settings": {"stepz": 3}}, ConfigError, r"pairs\.studio\.detector\.settings: unknown setting stepz"),
        ({"settings": {"steps": "many"}}, ConfigError, r"settings: steps is 'many' \(give int\)"),
        ({"settings": {"steps": 0}}, ConfigError, r"detector\.steps: 0"),
        ({"settings": {"seed": 1}}, ConfigError, "seeds are given beside"),
        ({"seeds": []}, ConfigError, r"detector\.seeds"),
        ({"test": "synthetic:rowing"}, DataError, "does not name the pictures"),
        ({"unlabelled": "nowhere"}, DataError, "no pictures"),
    ],
)
def test_faults_are_named_before_anything_starts(changes: dict, error, named: str, tiny_generator: str, tmp_path):
    with pytest.raises(error, match=named):
        run_benchmark(recipe(tiny_generator, changes), str(tmp_path), on_progress=lambda *at: None)
    assert not list(tmp_path.iterdir())


def test_a_method_cannot_be_called_as_a_reference(tiny_generator: str):
    with pytest.raises(ConfigError, match="supervised is a row of the detector's own"):
        recipe(tiny_generator, methods={"supervised": {"method": "coral"}})
