"""Adaptation as a user's step: read, learn, write, and not again."""

import numpy as np
import pytest

from flexpose_ray.config import AdaptConfig
from flexpose_ray.engine.adapt.one import HISTORY_ROWS, adapt
from flexpose_ray.errors import ConfigError, DataError, WeightsError
from flexpose_ray.models.generators import load_generator, load_sampler, save_generator
from flexpose_ray.models.weights import read_model
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.storage.base import Store

SHOTS = sample_synthetic("rowing?count=30").take(np.arange(6))
QUICK = AdaptConfig(layers="w", blend=False, steps=3, batch=8, mixup=10)


def test_an_adapted_model_is_written_with_its_card(store: Store, tiny_generator):
    rows = []
    card = adapt(tiny_generator, SHOTS, QUICK, store.uri, rows.append)
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert (card["shots"], card["uri"], card["base_digest"]) == (6, store.uri, load_generator(tiny_generator).digest)
    assert card["settings"] == QUICK.model_dump(mode="json")
    assert [row["step"] for row in card["history"]] == [1, 2, 3]
    assert card["digest"] == read_model(store.uri, "adapted").digest
    sampler = load_sampler(store.uri)
    np.testing.assert_array_equal(sampler.shots_SJ2, SHOTS.keypoints_NJ2)
    poses, _ = sampler.sample(0, np.arange(5))
    assert np.abs(poses - load_sampler(tiny_generator).sample(0, np.arange(5))[0]).max() > 0


def test_what_is_there_of_the_same_make_is_kept(tiny_generator, tmp_path):
    first, rows = adapt(tiny_generator, SHOTS, QUICK, str(tmp_path)), []
    assert adapt(tiny_generator, SHOTS, QUICK, str(tmp_path), rows.append) == first
    assert rows == []


@pytest.mark.parametrize("change", ["shots", "settings", "generator"])
def test_a_model_of_another_make_is_not_overwritten(change, tiny_generator, tmp_path):
    out, generator = str(tmp_path / "out"), tiny_generator
    digest = adapt(generator, SHOTS, QUICK, out)["digest"]
    shots, config = SHOTS, QUICK
    if change == "shots":
        shots = PoseSet(SHOTS.keypoints_NJ2 + 0.01)
    elif change == "settings":
        config = QUICK.model_copy(update={"lr": 0.1})
    else:
        generator, base = str(tmp_path / "other"), load_generator(generator)
        base.generator.start.data += 1
        save_generator(generator, base, base.limits, {})
    with pytest.raises(ConfigError, match="holds a model of other shots, settings or generator"):
        adapt(generator, shots, config, out)
    assert read_model(out).digest == digest


def test_a_generator_s_folder_is_not_overwritten(tiny_generator):
    with pytest.raises(WeightsError, match=r"holds generator weights \(choose another folder"):
        adapt(tiny_generator, SHOTS, QUICK, tiny_generator)
    assert read_model(tiny_generator).kind == "generator"


@pytest.mark.parametrize(("shots", "config", "error", "named"), [
    (SHOTS.take([0]), QUICK, DataError, "at least two poses, found 1"),
    (SHOTS, QUICK.model_copy(update={"layers": (2, 6)}), ConfigError, r"\[2, 6\] is out of range"),
    (PoseSet(np.random.rand(4, 68, 2), "face_68"), QUICK, ConfigError, "shots are face_68, the generator is body_15"),
])  # fmt: skip
def test_what_cannot_be_adapted_leaves_nothing_behind(shots, config, error, named, tiny_generator, tmp_path):
    with pytest.raises(error, match=named):
        adapt(tiny_generator, shots, config, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_missing_generator_is_named(tmp_path):
    with pytest.raises(WeightsError, match="nowhere: no model here"):
        adapt(str(tmp_path / "nowhere"), SHOTS, QUICK, str(tmp_path / "out"))


@pytest.mark.slow
def test_a_long_history_is_thinned_out(tiny_generator, tmp_path):
    config = QUICK.model_copy(update={"steps": 2 * HISTORY_ROWS + 1, "batch": 2, "loss": "energy", "layers": (1,)})
    history = adapt(tiny_generator, SHOTS, config, str(tmp_path))["history"]
    assert HISTORY_ROWS - 1 <= len(history) <= HISTORY_ROWS + 1
