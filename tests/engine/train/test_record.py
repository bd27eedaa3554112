"""What a training leaves while it goes on: nothing broken, and the best generator before its checkpoint."""

import numpy as np
import pytest
import torch

from flexpose_ray.config import Recipe, parse, pretrain_key
from flexpose_ray.engine.train import record as pretrain_record
from flexpose_ray.engine.train.card import card_text, generator_card
from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.engine.train.record import Record
from flexpose_ray.engine.train.trainer import gan_trainer
from flexpose_ray.errors import StorageError, TrainingError
from flexpose_ray.models.weights import Model, read_model
from flexpose_ray.networks.beta import Beta
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.storage.open import open_store

PRETRAIN = {
    "kind": "stylegan", "teacher": "none",
    "alpha": {"size": 16}, "network": {"z_size": 16, "w_size": 16, "depth": 2, "base": 64, "most": 8},
    "batch": 8, "bf16": False, "eval_samples": 64, "track": [], "pose_weight": 0,
}  # fmt: skip
RECIPE = parse(Recipe, {"name": "tiny", "source": "synthetic:rowing", "pretrain": PRETRAIN}, "test")


@pytest.fixture
def record(tmp_path) -> Record:
    job, beta = TrainingJob.of(RECIPE, sample_synthetic("rowing?count=200"), torch.device("cpu")), Beta(width=4)
    facts = {"beta_error_px": 0.5, "poses": len(job.train)}
    judge = Judge(job.train, job.held, RECIPE)
    return Record(RECIPE, open_store(tmp_path), gan_trainer(job, beta), judge, [], facts, beta)


def train(record: Record, evaluates: bool) -> dict:
    losses = record.trainer.step()
    row = {"kimg": record.trainer.images_seen / 1000, **losses}
    record.add(row, evaluates)
    record.background.wait()
    return row


def test_an_evaluation_leaves_scores_a_picture_a_generator_and_a_checkpoint(record):
    row = train(record, True)
    assert {"fd", "mmd2"} <= set(row)
    assert record.store.list("grids/") == ["grids/kimg000000.png"]
    assert read_model(f"{record.store.uri}/generator").card["fd"] == row["fd"]
    last = last_checkpoint(record.store, pretrain_key(RECIPE))
    assert (last.history, last.numbers["step"]) == ([row], 1)


def test_between_evaluations_a_checkpoint_is_written_when_the_last_one_is_old(record, monkeypatch):
    train(record, False)
    assert last_checkpoint(record.store) is None
    monkeypatch.setattr(pretrain_record, "SAVE_S", 0.0)
    train(record, False)
    assert last_checkpoint(record.store).numbers["step"] == 2
    assert not record.store.exists("generator/model.json")


def test_a_worse_generator_does_not_take_the_place_of_the_best(record, monkeypatch):
    scores = iter([{"fd": 0.5, "mmd2": 0.1}, {"fd": 0.6, "mmd2": 0.1}, {"fd": 0.4, "mmd2": 0.2}])
    monkeypatch.setattr(record.judge, "scores", lambda sampler: next(scores))
    kept = []
    for _ in range(3):
        train(record, True)
        kept.append(read_model(f"{record.store.uri}/generator").card["fd"])
    assert kept == [0.5, 0.5, 0.4]


def test_weights_that_are_not_finite_are_never_written(record):
    good = train(record, True)
    record.trainer.averaged.start.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 2: weights are not finite \(lower pretrain\.lr \(0\.002\)"):
        train(record, True)
    assert last_checkpoint(record.store).history == [good]


def test_storage_that_fails_is_told_with_the_next_writing(record, monkeypatch):
    def full(key, data):
        raise StorageError(key, "no space left")

    monkeypatch.setattr(record.store, "put", full)
    losses = record.trainer.step()
    record.add({"kimg": 0.008, **losses}, True)
    with pytest.raises(StorageError, match="no space left"):
        record.close()


def test_what_is_written_is_the_state_of_its_row_however_far_training_is(record, monkeypatch):
    begun = []
    monkeypatch.setattr(record.background, "submit", begun.append)
    losses = record.trainer.step()
    record.add({"kimg": 0.008, **losses}, True)
    wanted = {name: tensor.clone() for name, tensor in record.trainer.state()[0].items()}
    record.trainer.step()
    begun[0]()
    found = last_checkpoint(record.store).tensors
    assert [name for name in wanted if not torch.equal(found[name], wanted[name])] == []
    stored = read_model(f"{record.store.uri}/generator").tensors
    assert torch.equal(stored["generator.start"], wanted["averaged.start"])


def test_all_sources_are_on_the_card():
    one, other = ({"poses": poses, "attribution": who} for poses, who in (("a:b", "A"), ("e:f", "E")))
    sources = [one, {"poses": "c:d", "weight": 2}, other]
    mixed = parse(Recipe, {"name": "tiny", "source": sources}, "test")
    card = generator_card(mixed, [{"kimg": 1, "fd": 0.1, "mmd2": 0.2}], {})
    assert card["attribution"] == "A; E"
    assert card["source"] == "a:b + c:d + e:f"
    assert [source["weight"] for source in card["sources"]] == [1, 2, 1]


def test_a_card_of_an_earlier_version_is_told_too():
    card = {"fd": 0.1, "fd_floor": 0.05, "kimg": 3, "source": "a:b", "attribution": None, "beta_error_px": 0.3}
    card |= {"command": "flexpose pretrain x", "settings": {"lr": 0.1}}
    text = card_text(Model("generator", {"alpha": {"size": 64}}, {}, card, "d1"), 5)
    assert "| MMD^2 to held-out poses | not measured |" in text
    assert "none given" in text
    assert np.all([part in text for part in ("0.1000 (floor 0.0500)", "5 kimg", "* lr: 0.1")])
