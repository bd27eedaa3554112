"""beta's pretraining: told in a fixed number of rows, put on storage once, read from there afterwards."""

import numpy as np
import pytest
import torch

from flexpose_ray.config import Recipe, parse
from flexpose_ray.engine.train.beta import BETA, BETA_REPORTS, error_px, trained_beta
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.errors import WeightsError
from flexpose_ray.networks.beta import Beta
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.storage.open import open_store

ALPHA = Alpha(size=16)
TRAIN, HELD = sample_synthetic("rowing?count=200").split(0.2)


def train(store, steps=20, width=4, rows=None):
    beta = {"width": width, "steps": steps, "batch": 16, "lr": 0.01}
    pretrain = {"alpha": {"size": 16}, "beta": beta, "bf16": False}
    recipe = parse(Recipe, {"name": "tiny", "source": "synthetic:rowing", "pretrain": pretrain}, "test")
    report = (lambda row: None) if rows is None else rows.append
    return trained_beta(TrainingJob(recipe, TRAIN, HELD, torch.device("cpu")), store, report)


@pytest.mark.parametrize("steps", [20, 21, 29, 33])
def test_it_reports_as_often_as_other_workers_expect(tmp_path, steps):
    rows = []
    train(open_store(tmp_path), steps, rows=rows)
    assert len(rows) == BETA_REPORTS
    assert rows[-1]["beta_step"] == rows[-1]["beta_steps"] == steps
    assert all(np.isfinite(row["beta_px"]) for row in rows)


def test_it_is_trained_once_and_read_afterwards(store):
    first, card = train(store)
    rows = []
    again, same_card = train(store, rows=rows)
    assert rows == []
    assert card == same_card
    assert not first.training
    assert not again.training
    assert all(torch.equal(t, first.state_dict()[name]) for name, t in again.state_dict().items())


def test_a_training_that_died_before_its_card_starts_anew_and_ends_the_same(tmp_path):
    store = open_store(tmp_path)
    first, card = train(store)
    store.delete("beta.json")
    again, same_card = train(store)
    assert card == same_card
    assert all(torch.equal(t, first.state_dict()[name]) for name, t in again.state_dict().items())


def test_training_lowers_the_error_on_the_card(tmp_path):
    before, after = (
        train(open_store(tmp_path / str(steps)), steps, width=8)[1]["beta_error_px"] for steps in (20, 120)
    )
    assert after < 0.8 * before


def test_error_is_in_pixels_of_the_image_and_does_not_depend_on_the_batch():
    beta = Beta(width=4).eval()
    with torch.inference_mode():
        found = beta(ALPHA.draw(torch.as_tensor(HELD.keypoints_NJ2)))[0].numpy()
    wanted = np.linalg.norm(found - HELD.keypoints_NJ2, axis=2).mean() * 16
    for batch in (64, 7):
        assert error_px(beta, ALPHA, HELD, batch) == pytest.approx(wanted, rel=1e-3)


def test_damaged_weights_are_named(tmp_path):
    store = open_store(tmp_path)
    train(store)
    store.put(BETA, b"cut off")
    with pytest.raises(WeightsError, match=r"beta\.safetensors: not a safetensors file"):
        train(store)
