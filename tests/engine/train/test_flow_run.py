"""Pretraining of flows, and of StyleGANs that a flow teaches, by the same engine."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from flexpose_ray.config import Recipe, parse, pretrain_key
from flexpose_ray.engine.train import run as engine
from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.engine.train.judge import both_sides
from flexpose_ray.engine.train.record import Record
from flexpose_ray.engine.train.run import pretrain, teacher_recipe
from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.models.generators import load_generator, load_sampler
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.open import open_store
from tests import here

FLOW = {
    "width": 16, "hidden": 32, "depth": 1, "steps": 12, "batch": 32,
    "student": [16, 32, 1], "student_steps": 12, "student_batch": 32, "pairs": 256,
}  # fmt: skip
PRETRAIN = {"flow": FLOW, "alpha": {"size": 16}, "eval_samples": 64, "held_out": 0.2, "bf16": False, "threads": 1}
STYLEGAN = {
    "kind": "stylegan", "beta": {"width": 4, "steps": 20, "batch": 16},
    "network": {"z_size": 64, "w_size": 16, "base": 64, "most": 8, "pose_mapping": [16, 24, 1]},
    "kimg": 0.32, "report_kimg": 0.08, "eval_kimg": 0.16, "batch": 16,
}  # fmt: skip


def recipe(**changes) -> Recipe:
    values = {"name": "tiny", "source": "synthetic:rowing?count=300", "pretrain": PRETRAIN | changes}
    return parse(Recipe, values, "test")


def trained(storage: str, recipe: Recipe) -> tuple[dict, list[dict]]:
    rows = []
    with here.without_ray():
        return pretrain(recipe, storage, rows.append), rows


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> str:
    return str(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def flow(storage: str) -> tuple[dict, list[dict]]:
    """A flow's whole run: result, progress rows."""
    return trained(storage, recipe())


@pytest.fixture(scope="module")
def taught(storage: str, flow) -> tuple[dict, list[dict]]:
    """The run of a StyleGAN that the flow teaches."""
    return trained(storage, recipe(**STYLEGAN))


@pytest.fixture
def no_training(monkeypatch):
    def refuse(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(engine, "run_workers", refuse)


def test_a_flow_tells_its_progress_and_leaves_a_generator(flow):
    done, rows = flow
    assert rows == done["history"] and done["kimg"] == pytest.approx(24 * 32 / 1000)
    assert [row["kimg"] for row in rows] == sorted({row["kimg"] for row in rows})
    first, last = rows[0], rows[-1]
    assert "velocity" in first and "student_px" in last
    assert any("field_fd" in row and "fd" not in row for row in rows), "the field was not judged"
    assert {"fd", "mmd2", "density", "coverage"} <= set(last)
    best = load_generator(done["generator"])
    assert (best.kind, best.beta, best.discriminator) == ("flow", None, None)
    assert (best.card["fd"], best.card["kind"]) == (done["fd"], "flow")


def test_its_score_is_that_of_the_generator_on_storage(flow):
    done, _ = flow
    _, held = read_poses(f"{done['run']}/source.parquet").split(0.2)
    poses, _ = load_sampler(done["generator"]).sample(0, np.arange(64))
    assert frechet_distance(poses, both_sides(held)) == pytest.approx(done["fd"], rel=1e-5)


def test_the_card_says_how_independent_its_poses_are(flow):
    done, _ = flow
    card, text = load_generator(done["generator"]).card, open_store(done["run"]).get("card.md").decode()
    assert 0.5 < card["auc"] < 1 and card["nearest_ratio"] > 0
    assert f"{card['auc']:.3f}" in text and f"{card['nearest_ratio']:.3f}" in text


def test_a_run_that_was_cut_off_ends_as_if_it_had_not_been(flow, tmp_path, monkeypatch):
    """Cut off after the field, and again within the student's steps."""
    done, _ = flow
    whole, ours = open_store(done["run"]), open_store(tmp_path).child(pretrain_key(recipe()))
    add = Record.add
    for step in (12, 18):

        def cut_off(self, row, evaluates, stops=False, step=step):
            add(self, row, evaluates, True)
            if self.trainer.step_count >= step:
                self.close()
                raise KeyboardInterrupt

        monkeypatch.setattr(Record, "add", cut_off)
        with pytest.raises(KeyboardInterrupt):
            trained(str(tmp_path), recipe())
        assert last_checkpoint(ours).numbers["step"] >= step
    monkeypatch.undo()
    again, rows = trained(str(tmp_path), recipe())
    assert rows[0]["kimg"] > 0.5, "began anew"
    assert load_generator(again["generator"]).digest == load_generator(done["generator"]).digest
    one, other = (last_checkpoint(store) for store in (whole, ours))
    assert all(torch.equal(one.tensors[name], other.tensors[name]) for name in one.tensors)


def test_a_stylegan_is_taught_by_the_flow_that_is_there(flow, taught):
    done, rows = taught
    card = load_generator(done["generator"]).card
    assert card["teacher"] == load_generator(flow[0]["generator"]).digest
    assert not any("velocity" in row for row in rows), "the flow was trained again"
    assert [row["kimg"] for row in done["history"]] == [0.08, 0.16, 0.24, 0.32]
    assert all({"image", "joint_px"} <= set(row) for row in done["history"])
    assert rows[-1]["image"] < rows[10]["image"]


def test_it_samples_as_any_stylegan_and_its_latents_are_the_flows_poses(flow, taught):
    stylegan, teacher = (load_generator(done["generator"]) for done, _ in (taught, flow))
    assert (stylegan.kind, stylegan.discriminator) == ("stylegan", None) and stylegan.beta is not None
    z = torch.randn(5, 64, generator=torch.Generator().manual_seed(0))
    z = z / z.square().mean(1, keepdim=True).sqrt()
    x, _ = teacher.generator.one_step(z[:, : teacher.generator.z_size])
    torch.testing.assert_close(stylegan.generator.mapping.poses(z), teacher.generator.poses(x))
    assert load_sampler(taught[0]["generator"]).sample(0, np.arange(3))[0].shape == (3, 15, 2)


def test_the_same_again_returns_at_once(storage, flow, taught, no_training):
    for settings, (done, _) in (({}, flow), (STYLEGAN, taught)):
        assert pretrain(recipe(**settings), storage) == done


def test_a_taught_one_goes_on_from_its_checkpoint(storage, taught, tmp_path):
    done, _ = taught
    ours = open_store(tmp_path).child(pretrain_key(recipe(**STYLEGAN)))
    for source, target in ((open_store(done["run"]), ours), (open_store(storage), open_store(tmp_path))):
        for key in source.list():
            if key not in ("pretrain.json", f"{pretrain_key(recipe(**STYLEGAN))}/pretrain.json"):
                target.put(key, source.get(key))
    again, rows = trained(str(tmp_path), recipe(**STYLEGAN))
    assert rows == [] and again["history"] == done["history"]


def test_all_stylegans_of_a_source_have_one_teacher():
    flow = pretrain_key(recipe())
    for changes in ({}, {"kimg": 5.0}, {"network": {"z_size": 32}}, {"start": "builtin:coco-adversarial"}):
        assert pretrain_key(teacher_recipe(recipe(**STYLEGAN | changes))) == flow
    for changes in ({"seed": 1}, {"flow": FLOW | {"steps": 13}}, {"alpha": {"size": 32}}):
        assert pretrain_key(recipe(**changes)) != flow
    for changes in ({"teacher": "none"}, {"kind": "stylegan"}, {"workers": 2}, {"batch": 64}):
        assert (pretrain_key(recipe(**changes)) == flow) == ("kind" not in changes)


def test_a_start_of_other_sizes_is_told(storage, flow, tiny_generator: str, monkeypatch):
    small = {"network": {**STYLEGAN["network"], "most": 16}}
    good = recipe(**STYLEGAN | small | {"start": tiny_generator, "kimg": 0.016})
    done, _ = trained(storage, good)
    before, after = load_generator(tiny_generator), load_generator(done["generator"])
    weights = before.discriminator.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in after.discriminator.state_dict().items())
    assert not open_store(done["run"]).exists("beta.json"), "a beta was trained though there was one"
    betas = before.beta.state_dict(), after.beta.state_dict()
    assert all(torch.equal(betas[0][name], betas[1][name]) for name in betas[0])
    with pytest.raises(ConfigError, match=r"pretrain.start: width of its drawings is 0.03125, here it is 0.05"):
        trained(storage, recipe(**STYLEGAN | small | {"start": tiny_generator, "alpha": {"size": 16, "width": 0.05}}))
    with pytest.raises(ConfigError, match="start: most is 16 there and 8 here"):
        trained(storage, recipe(**STYLEGAN | {"start": tiny_generator}))
    with pytest.raises(ConfigError, match=r"pretrain.start"):
        trained(storage, recipe(**STYLEGAN | {"start": flow[0]["generator"], "seed": 0}))
    with pytest.raises(WeightsError, match="nowhere"):
        trained(storage, recipe(**STYLEGAN | {"start": "/nowhere"}))


@pytest.mark.slow
def test_two_workers_under_ray_train_what_one_trains(flow, ray_cluster, s3_uri: str):
    alone, _ = flow
    rows = []
    both = pretrain(recipe(workers=2), s3_uri, rows.append)
    assert [row["kimg"] for row in rows] == [row["kimg"] for row in alone["history"]]
    one, other = (last_checkpoint(open_store(done["run"])) for done in (alone, both))
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(other.tensors[name], tensor, rtol=0.02, atol=0.02)
    assert json.loads(open_store(both["run"]).get("pretrain.json"))["fd"] == pytest.approx(alone["fd"], rel=0.05)
