"""Pretraining under Ray Train: any number of workers trains the same; what is done is not done again."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save

from flexpose_ray.config import Recipe, parse, pretrain_key
from flexpose_ray.engine.train import run as engine
from flexpose_ray.engine.train.checkpoint import last_checkpoint, write_checkpoint
from flexpose_ray.engine.train.judge import both_sides
from flexpose_ray.engine.train.run import pretrain
from flexpose_ray.errors import ConfigError, DataError, TrainingError, WeightsError
from flexpose_ray.judging.metrics import frechet_distance, mmd2
from flexpose_ray.models.generators import load_generator, load_sampler
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.sources.mixture import set_numbers
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.open import open_store
from tests import here

PRETRAIN = {
    "kind": "stylegan", "teacher": "none",
    "alpha": {"size": 16},
    "network": {"z_size": 16, "w_size": 16, "depth": 2, "base": 64, "most": 8},
    "beta": {"width": 4, "steps": 20, "batch": 16},
    "kimg": 0.32, "report_kimg": 0.08, "eval_kimg": 0.16, "pose_from_kimg": 0.1, "eval_samples": 64,
    "batch": 16, "r1_every": 4, "held_out": 0.2, "bf16": False, "threads": 1,
}  # fmt: skip
SPEEDS = ("kimg_s", "eta_s")


def recipe(source="synthetic:rowing?count=300", **changes):
    return parse(Recipe, {"name": "tiny", "source": source, "pretrain": {**PRETRAIN, **changes}}, "test")


def numbers(history):
    """A history without what depends on the hour."""
    return [{key: value for key, value in row.items() if key not in SPEEDS} for row in history]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One worker's whole run, in this process: storage, result, progress rows."""
    storage, rows = str(tmp_path_factory.mktemp("runs")), []
    with here.without_ray():
        return storage, pretrain(recipe(), storage, rows.append), rows


def test_a_run_tells_its_progress_and_leaves_a_generator(run):
    storage, done, rows = run
    assert [row["beta_step"] for row in rows[:10]] == list(range(2, 21, 2))
    assert rows[10:] == done["history"]
    assert [row["kimg"] for row in done["history"]] == [0.08, 0.16, 0.24, 0.32]
    assert ["fd" in row for row in done["history"]] == [False, True, False, True]
    assert all({"d_loss", "g_loss", "r1", *SPEEDS} <= set(row) for row in done["history"])
    assert ["pose" in row for row in done["history"]] == [False, True, True, True]
    assert done["kimg"] == 0.32
    assert done["fd"] == min(row["fd"] for row in done["history"] if "fd" in row)
    assert done["run"] == f"{storage}/{pretrain_key(recipe())}"
    best = load_generator(done["generator"])
    assert (best.card["fd"], best.card["kimg"]) == (done["fd"], done["fd_kimg"])
    assert load_sampler(done["generator"]).sample(0, np.arange(3))[0].shape == (3, 15, 2)


def test_fd_is_that_of_the_best_generator_to_held_out_poses_of_both_sides(run):
    _, done, _ = run
    _, held = read_poses(f"{done['run']}/source.parquet").split(0.2)
    poses, _ = load_sampler(done["generator"]).sample(0, np.arange(64))  # as many as eval_samples
    assert frechet_distance(poses, both_sides(held)) == pytest.approx(done["fd"], rel=1e-5)
    assert mmd2(poses, both_sides(held)) == pytest.approx(done["mmd2"], rel=1e-4)


def test_a_finished_run_has_a_card_and_curves_and_nothing_of_ray(run):
    _, done, _ = run
    store, card = open_store(done["run"]), load_generator(done["generator"]).card
    text = store.get("card.md").decode()
    assert f"{card['fd']:.4f} (floor {card['fd_floor']:.4f})" in text
    assert f"{card['mmd2']:.4f} (floor {card['mmd2_floor']:.4f})" in text
    assert "synthetic:rowing?count=300" in text
    assert [key for key in store.list("tensorboard/") if "tfevents" in key]
    assert store.list("ray/") == []


def test_limits_of_the_training_poses_are_kept_for_the_gate(run):
    _, done, _ = run
    train, _ = read_poses(f"{done['run']}/source.parquet").split(0.2)
    limits = load_generator(done["generator"]).limits
    np.testing.assert_array_equal(limits.lengths_F2, PoseLimits.of(train.keypoints_NJ2, train.skeleton).lengths_F2)


def test_pictures_of_the_same_latents_are_kept(run):
    _, done, _ = run
    store = open_store(done["run"])
    keys = store.list("grids/")
    assert keys
    picture = cv2.imdecode(np.frombuffer(store.get(keys[-1]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (6 * 16, 12 * 16, 3)


def test_the_same_again_returns_at_once(run, monkeypatch):
    storage, done, _ = run

    def forbidden(*args):
        raise AssertionError("trained again")

    monkeypatch.setattr(engine, "run_workers", forbidden)
    assert pretrain(recipe(), storage) == done
    assert pretrain(recipe(kimg=0.1, workers=2, threads=2), storage) == done


@pytest.mark.slow
def test_two_workers_then_one_train_what_one_trains(run, ray_cluster, s3_uri):
    """Workers and the goal may change between runs; storage may be a bucket. Two work under Ray, through gloo."""
    _, alone, _ = run
    rows = []
    half = pretrain(recipe(kimg=0.16, workers=2), s3_uri, rows.append)
    assert half["kimg"] == 0.16
    assert [row["beta_step"] for row in rows[:10]] == list(range(2, 21, 2)) and rows[10:] == half["history"]
    rows.clear()
    with here.without_ray():
        whole = pretrain(recipe(), s3_uri, rows.append)
    assert [row["kimg"] for row in rows] == [0.24, 0.32], "started again from the beginning"
    assert whole["history"][:2] == half["history"]
    for ours, theirs in zip(numbers(whole["history"]), numbers(alone["history"]), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)
    one, other = (last_checkpoint(open_store(done["run"])) for done in (alone, whole))
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(other.tensors[name], tensor, rtol=0.02, atol=0.02)


@pytest.fixture
def copy(run, tmp_path):
    """Storage with the finished run, but for its last word, and the store of the run in it."""
    store, copied = open_store(run[1]["run"]), open_store(tmp_path).child(pretrain_key(recipe()))
    for key in store.list():
        if not key.startswith(("ray/", "pretrain.json")):
            copied.put(key, store.get(key))
    return str(tmp_path), copied


@pytest.mark.slow
def test_an_error_of_ours_in_a_worker_reaches_the_caller(copy, ray_cluster):
    storage, store = copy
    store.put("beta.safetensors", b"cut off")
    with pytest.raises(WeightsError, match=r"beta\.safetensors: not a safetensors file"):
        pretrain(recipe(), storage)


def test_a_damaged_checkpoint_is_told_before_anything_starts(copy, monkeypatch):
    storage, store = copy
    monkeypatch.setattr(engine, "ray_session", lambda: pytest.fail("started Ray"))
    newest = store.list("checkpoints/")[-1]
    store.put(newest, store.get(newest)[:1000])
    with pytest.raises(WeightsError, match=rf"{newest}: damaged checkpoint \(delete it"):
        pretrain(recipe(), storage)


def test_a_checkpoint_of_other_networks_or_of_another_run_is_told_before_anything_starts(copy, monkeypatch):
    storage, store = copy
    monkeypatch.setattr(engine, "ray_session", lambda: pytest.fail("started Ray"))
    other = pretrain_key(recipe(lr=0.1))
    newest = store.list("checkpoints/")[-1]
    last = last_checkpoint(store)
    write_checkpoint(store, replace(last, run=other))
    with pytest.raises(WeightsError, match=rf"{newest}: checkpoint of another run, {other}; this run is pretrain-"):
        pretrain(recipe(), storage)
    small = {name: t[:, :4] if name == "averaged.start" else t for name, t in last.tensors.items()}
    write_checkpoint(store, replace(last, tensors=small, run=None))
    with pytest.raises(WeightsError, match=r"other networks: averaged\.start is \(1, 4, 4, 4\), this run"):
        pretrain(recipe(), storage)


def test_a_run_whose_checkpoints_are_gone_does_not_begin_anew_over_its_generator(copy, monkeypatch):
    storage, store = copy
    monkeypatch.setattr(engine, "ray_session", lambda: pytest.fail("started Ray"))
    for key in store.list("checkpoints/"):
        store.delete(key)
    store.put("pretrain.json", b'{"kimg": 0.01}')
    with pytest.raises(WeightsError, match=r"checkpoints: the run's last checkpoint is missing \(restore it"):
        pretrain(recipe(), storage)


def test_checkpoints_of_earlier_versions_are_gone_on_from(copy, without_ray):
    """They name no run, hold no hash, and their history has no MMD^2."""
    storage, store = copy
    (key, *_) = store.list("checkpoints/")
    last = last_checkpoint(store)
    for other in store.list("checkpoints/"):
        store.delete(other)
    history = [{k: v for k, v in row.items() if k != "mmd2"} for row in last.history]
    metadata = {"numbers": json.dumps(last.numbers), "history": json.dumps(history)}
    store.put(key, save(last.tensors, metadata))
    done = pretrain(recipe(kimg=0.4), storage)
    assert [row["kimg"] for row in done["history"]] == [0.08, 0.16, 0.24, 0.32, 0.4]
    assert done["history"][:4] == history


def test_losses_that_are_not_finite_end_the_run_at_once(without_ray, tmp_path):
    with pytest.raises(TrainingError, match=r"step \d: .* is (nan|inf).*lower pretrain\.lr \(1e\+15\) or raise"):
        pretrain(recipe(lr=1e15), str(tmp_path))
    assert open_store(tmp_path).list(f"{pretrain_key(recipe(lr=1e15))}/checkpoints") == []


@pytest.mark.slow
def test_two_workers_train_for_fifty_steps_what_one_trains(ray_cluster, tmp_path):
    """Through gloo, losses of every step to 1e-3."""
    every_step = {"kimg": 0.8, "report_kimg": 0.016, "eval_kimg": 0.4}
    two = pretrain(recipe(**every_step, workers=2), str(tmp_path / "two"))["history"]
    with here.without_ray():
        one = pretrain(recipe(**every_step), str(tmp_path / "one"))["history"]
    assert len(one) == 50
    for ours, theirs in zip(numbers(two), numbers(one), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-3)


def test_several_sources_are_mixed_and_all_are_on_the_card(without_ray, tmp_path):
    sources = [
        {"poses": "synthetic:rowing?count=200", "weight": 3, "attribution": "rowers of ours"},
        {"poses": "synthetic:cycling?count=100", "attribution": "cyclists of ours"},
    ]
    done = pretrain(recipe(sources), str(tmp_path))
    card = load_generator(done["generator"]).card
    assert card["attribution"] == "rowers of ours; cyclists of ours"
    assert [source["weight"] for source in card["sources"]] == [3, 1]
    poses = read_poses(f"{done['run']}/source.parquet")
    assert len(poses) == 300
    assert set(set_numbers(poses)) == {0, 1}


# ----- what needs no cluster


@pytest.fixture
def _no_ray(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("started Ray")

    monkeypatch.setattr(engine, "ray_session", forbidden)


@pytest.mark.usefixtures("_no_ray")
@pytest.mark.parametrize(("source", "error", "named"), [
    ("synthetic:rowing?count=3", DataError, "3 poses split by group"),
    ("synthetic:swimming", ConfigError, "swimming"),
    ("table:nowhere.csv", DataError, r"nowhere\.csv"),
])  # fmt: skip
def test_bad_sources_are_refused_before_anything_is_written(tmp_path, source, error, named):
    with pytest.raises(error, match=named):
        pretrain(recipe(source), str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.usefixtures("_no_ray")
def test_without_a_source_there_is_nothing_to_train_on(tmp_path):
    no_source = parse(Recipe, {"name": "tiny", "generator": "builtin:coco-adversarial"}, "test")
    with pytest.raises(ConfigError, match="no source to pretrain on"):
        pretrain(no_source, str(tmp_path))
