"""Many adaptations: each the same as alone, one's failure its own, what is there kept."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from flexpose_ray.config import AdaptConfig
from flexpose_ray.engine.adapt import many as module
from flexpose_ray.engine.adapt.many import TABLE, adapt_many, read_targets, split_by_label
from flexpose_ray.engine.adapt.one import adapt
from flexpose_ray.errors import ConfigError, DataError, WeightsError
from flexpose_ray.models.weights import read_model
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.pose_file import write_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

QUICK = AdaptConfig(layers="w", blend=False, steps=3, batch=8, mixup=10)
POSES = sample_synthetic("rowing?count=18").keypoints_NJ2
TARGETS = {f"rower-{k}": PoseSet(POSES[6 * k : 6 * k + 6]) for k in range(3)}


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list()}


@pytest.fixture
def no_ray(monkeypatch):
    def refuse(**_):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(module, "ray_session", refuse)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_targets_are_the_pose_sets_of_a_folder(store: Store):
    for name in ("b", "a"):
        write_poses(f"{store.uri}/{name}.parquet", TARGETS["rower-0"])
    write_poses(f"{store.uri}/below/c.parquet", TARGETS["rower-0"])
    store.put("notes.txt", b"")
    assert read_targets(store.uri) == {name: f"{store.uri}/{name}.parquet" for name in ("a", "b")}


def test_a_folder_without_pose_sets_is_told(tmp_path):
    with pytest.raises(DataError, match="holds no pose sets"):
        read_targets(str(tmp_path))


def test_targets_are_the_labels_of_a_set():
    found = split_by_label(PoseSet(POSES[:5], label_N=["row", "sit", "row", "sit", "row"]), "set")
    assert {label: len(poses) for label, poses in found.items()} == {"row": 3, "sit": 2}
    np.testing.assert_array_equal(found["sit"].keypoints_NJ2, POSES[[1, 3]])


@pytest.mark.parametrize(
    ("label", "named"), [("", "without a label"), ("Golf Swing", "'Golf Swing' cannot name"), ("../up", "cannot name")]
)
def test_names_that_cannot_be_folders(label: str, named: str, tmp_path):
    with pytest.raises(ConfigError, match=f"^set: .*{named}"):
        split_by_label(PoseSet(POSES[:2], label_N=[label, "fine"]), "set")
    with pytest.raises(ConfigError, match=named):
        adapt_many("builtin:coco", {label: TARGETS["rower-0"]}, QUICK, str(tmp_path))


def test_what_concerns_all_targets_is_told_before_anything_starts(tiny_generator: str, tmp_path, no_ray):
    out = str(tmp_path / "out")
    with pytest.raises(WeightsError, match="nowhere"):
        adapt_many(str(tmp_path / "nowhere"), TARGETS, QUICK, out)
    with pytest.raises(ConfigError, match=r"\[9\] is out of range"):
        adapt_many(tiny_generator, TARGETS, QUICK.model_copy(update={"layers": (9,)}), out)
    with pytest.raises(ConfigError, match=r"^workers: 0"):
        adapt_many(tiny_generator, TARGETS, QUICK, out, workers=0)
    with pytest.raises(DataError, match="none"):
        adapt_many(tiny_generator, {}, QUICK, out)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_models_are_those_of_single_adaptations(ray_cluster, tiny_generator: str, s3_uri: str, tmp_path, one_thread):
    steps = []
    rows = adapt_many(tiny_generator, TARGETS, QUICK, s3_uri, on_progress=lambda *at: steps.append(at))
    assert steps == [(done, 3) for done in range(4)]
    assert [(row["name"], row["shots"], row["error"]) for row in rows] == [(name, 6, None) for name in TARGETS]
    store = open_store(s3_uri)
    table = json.loads(store.get(TABLE))
    assert table["targets"] == rows and table["settings"] == QUICK.model_dump(mode="json")
    for row in rows:
        card = adapt(tiny_generator, TARGETS[row["name"]], QUICK, str(tmp_path / row["name"]))
        alone, found = open_store(card["uri"]), store.child(row["name"])
        assert row["uri"] == found.uri and row["loss"] == card["history"][-1]["loss"]
        assert alone.list() == found.list()
        assert all(alone.get(key) == found.get(key) for key in alone.list() if key != "model.json")
        heads = [json.loads(s.get("model.json")) for s in (alone, found)]
        for head in heads:
            del head["card"]["seconds"]  # nothing else may differ
        assert heads[0] == heads[1]


@pytest.mark.slow
def test_one_that_fails_does_not_end_the_others(ray_cluster, tiny_generator: str, tmp_path):
    sets, out = open_store(tmp_path / "sets"), str(tmp_path / "out")
    write_poses(f"{sets.uri}/good.parquet", TARGETS["rower-0"])
    write_poses(f"{sets.uri}/single.parquet", TARGETS["rower-0"].take([0]))
    sets.put("torn.parquet", b"no parquet")
    rows = {row["name"]: row for row in adapt_many(tiny_generator, read_targets(sets.uri), QUICK, out, workers=2)}
    assert rows["good"]["error"] is None
    assert "at least two poses, found 1 (annotate more poses)" in rows["single"]["error"]
    assert rows["torn"]["error"].startswith(f"{sets.uri}/torn.parquet: not a readable Parquet file")
    assert {key.partition("/")[0] for key in open_store(out).list()} == {"good", TABLE}

    write_poses(f"{sets.uri}/torn.parquet", TARGETS["rower-1"])  # mended: the next call does it
    before = contents(open_store(out).child("good"))
    again = {row["name"]: row for row in adapt_many(tiny_generator, read_targets(sets.uri), QUICK, out)}
    assert [name for name, row in again.items() if row["error"]] == ["single"]
    assert again["good"] == rows["good"] and contents(open_store(out).child("good")) == before


def test_what_is_there_needs_no_ray(tiny_generator: str, tmp_path, no_ray):
    for name, shots in TARGETS.items():
        adapt(tiny_generator, shots, QUICK, str(tmp_path / name))
    before = contents(open_store(tmp_path))
    rows = adapt_many(tiny_generator, TARGETS, QUICK, str(tmp_path))
    assert [(row["name"], row["error"]) for row in rows] == [(name, None) for name in TARGETS]
    after = contents(open_store(tmp_path))
    assert after.pop(TABLE) and after == before


def test_a_model_of_other_shots_is_told_and_left(tiny_generator: str, tmp_path, no_ray):
    digest = adapt(tiny_generator, TARGETS["rower-0"], QUICK, str(tmp_path / "rower"))["digest"]
    (row,) = adapt_many(tiny_generator, {"rower": TARGETS["rower-1"]}, QUICK, str(tmp_path))
    assert "holds a model of other shots" in row["error"] and row["loss"] is None
    assert read_model(str(tmp_path / "rower")).digest == digest
