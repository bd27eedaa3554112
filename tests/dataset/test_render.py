"""A shard from its address: the gate's three modes, and pictures."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from flexpose_ray.dataset.layout import MODEL, ShardId
from flexpose_ray.dataset.render import STRIDE, ShardRenderer
from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.generators import copy_model, load_sampler
from flexpose_ray.pose.gate import GateSettings
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.run_specs import run_spec

ALL_PASS = GateSettings("drop", confidence=0, margin=1e6, duplicate=0)


@pytest.fixture
def renderer(tiny_generator: str, tmp_path):
    """Makes the renderer of a data set with a gate of its own."""

    def make(gate: GateSettings, images: str | None = None) -> ShardRenderer:
        store = open_store(tmp_path / "data")
        digest = copy_model(tiny_generator, store.child(MODEL))
        return ShardRenderer(store, run_spec(images, generator=digest, seed=5, shard_size=40, gate=asdict(gate)))

    return make


def confident(renderer: ShardRenderer, share: float) -> GateSettings:
    """A gate that lets about this share of poses pass."""
    _, confidence_NJ = renderer.sampler.sample(5, np.arange(400))
    return GateSettings("drop", float(np.quantile(confidence_NJ.mean(1), 1 - share)), margin=1e6, duplicate=0)


def test_off_and_warn_keep_all_poses(renderer, tiny_generator: str):
    keypoints_NJ2, _ = load_sampler(tiny_generator, 16).sample(5, np.arange(40, 80))
    warned = renderer(GateSettings("warn", confidence=1)).poses(ShardId(1, 40))
    np.testing.assert_array_equal(warned.keypoints_NJ2, keypoints_NJ2)
    assert warned.stats == {"rows": 40, "drawn": 40, "rejects": {"confidence": 40}}


def test_off_judges_nothing(renderer):
    assert renderer(GateSettings("off", confidence=1)).poses(ShardId(0, 40)).stats == {"rows": 40, "drawn": 40}


def test_drop_replaces_what_fails_from_addresses_of_its_own(renderer):
    made = renderer(ALL_PASS)
    made.gate.settings = made.settings = confident(made, 0.6)
    poses = made.poses(ShardId(1, 40))
    assert len(poses.keypoints_NJ2) == 40 and (poses.index_N % STRIDE == np.arange(40, 80)).all()
    tries_N = poses.index_N // STRIDE
    assert 5 < (tries_N > 0).sum() < 35, "some are replaced"
    assert poses.stats["drawn"] == 40 + tries_N.sum()
    assert poses.stats["rejects"] == {"confidence": int(tries_N.sum())}
    assert poses.confidence_NJ.mean(1).min() >= made.settings.confidence
    keypoints_NJ2, confidence_NJ = made.sampler.sample(5, poses.index_N)
    np.testing.assert_allclose(poses.keypoints_NJ2, keypoints_NJ2, atol=1e-6)
    np.testing.assert_allclose(poses.confidence_NJ, confidence_NJ, atol=1e-6)


def test_a_gate_that_lets_nothing_pass(renderer):
    with pytest.raises(ConfigError, match=r"generate.gate: rejects nearly every pose at 40 places .*confidence"):
        renderer(GateSettings("drop", confidence=1)).poses(ShardId(0, 40))


@pytest.mark.parametrize("images", [None, "png", "webp"])
def test_the_same_bytes_every_time(renderer, images: str | None):
    made = renderer(GateSettings(), images)
    first = made.encode(ShardId(0, 40))
    made.poses(ShardId(3, 40))
    assert made.encode(ShardId(0, 40)) == first != made.encode(ShardId(1, 40))


def test_another_model_than_pinned(renderer, store: Store, tiny_generator: str):
    copy_model(tiny_generator, store.child(MODEL))
    with pytest.raises(WeightsError, match="the run began with 0000000000000000"):
        ShardRenderer(store, run_spec(generator="0" * 64))
