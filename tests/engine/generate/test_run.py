"""Mass sampling: any number of actors, any store, any interruption leave the same data set."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from flexpose_ray.config import GenerateConfig, load_section
from flexpose_ray.dataset.call_log import read_log
from flexpose_ray.dataset.layout import MODEL
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.verify import verify
from flexpose_ray.engine.generate import run as module
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.errors import ConfigError, StorageError, WeightsError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests import here


def config(count: int, **changes: object) -> GenerateConfig:
    return GenerateConfig(**{"count": count, "seed": 5, "shard_size": 40, "batch": 16} | changes)


def contents(store: Store) -> dict[str, bytes]:
    """All but the log, which holds times."""
    return {key: store.get(key) for key in store.list() if not key.startswith("log/")}


def column(store: Store, name: str) -> np.ndarray:
    return np.concatenate([shard[name] for shard in PoseReader(store).blocks()])


@pytest.fixture
def no_ray(monkeypatch):
    def refuse(**_):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(module, "ray_session", refuse)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"shard_size": -1}, {"actors": 0}, {"batch": 0}, {"seed": -1}])
def test_settings_out_of_range(wrong: dict):
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"generate options: {name}: "):
        load_section("generate", None, [f"generate.{name}={wrong[name]}"])
    with pytest.raises(ValueError, match=name):
        config(**({"count": 10} | wrong))


def test_bad_places_are_refused_before_ray_starts(tiny_generator: str, tmp_path, s3_server, no_ray):
    with pytest.raises(WeightsError, match="nowhere"):
        generate(str(tmp_path / "nowhere"), str(tmp_path / "out"), config(10))
    with pytest.raises(StorageError, match="no bucket"):
        generate(tiny_generator, "s3://no-such-bucket/x", config(10))


@pytest.fixture(scope="module")
def alone(tiny_generator: str, tmp_path_factory) -> Store:
    """250 poses in a folder, made by this process."""
    uri = str(tmp_path_factory.mktemp("alone"))
    with here.without_ray():
        result = generate(tiny_generator, uri, config(250), lambda *_: None)
    assert result["rendered"] == result["count"] == 250 and result["shards"] == 7
    return open_store(uri)


def test_poses_are_those_of_their_addresses(alone: Store, tiny_generator: str):
    sampler = load_sampler(tiny_generator, batch=16)
    np.testing.assert_array_equal(column(alone, "index"), np.arange(250))
    keypoints_NJ2, confidence_NJ = sampler.sample(5, np.arange(250))
    np.testing.assert_allclose(column(alone, "keypoints"), keypoints_NJ2, atol=1e-5)
    np.testing.assert_allclose(column(alone, "confidence"), confidence_NJ, atol=1e-5)
    run = read_manifest(alone).run
    assert run.generator == sampler.digest and run.seed == 5 and run.shard_size == 40 and run.batch == 16
    assert verify(alone) == []


@pytest.mark.slow
def test_bytes_depend_neither_on_actors_nor_on_the_store(alone: Store, ray_cluster, tiny_generator: str, s3_uri: str):
    """And the log holds what it took."""
    store, steps = open_store(s3_uri), []
    generate(tiny_generator, s3_uri, config(250, actors=3), lambda *at: steps.append(at))
    assert contents(store) == contents(alone)
    assert steps[0] == (0, 250) and steps[-1] == (250, 250) and steps == sorted(steps) and len(steps) > 3
    (call,) = read_log(store)
    assert call.poses == 250 and call.samplers == 3 and call.device == "cpu"
    assert 0 < call.sampling_s < 3 * call.seconds


def test_what_is_there_needs_no_ray(alone: Store, tiny_generator: str, no_ray):
    before = contents(alone)
    result = generate(tiny_generator, alone.uri, config(250))
    assert result["rendered"] == 0 and result["manifest"]["version"] == 1
    assert contents(alone) == before


def test_another_run_or_fewer_poses_are_refused(alone: Store, tiny_generator: str, no_ray):
    before = contents(alone)
    with pytest.raises(ConfigError, match="seed was 5 and is now 6"):
        generate(tiny_generator, alone.uri, config(250, seed=6))
    with pytest.raises(ConfigError, match="more than the 100"):
        generate(tiny_generator, alone.uri, config(100))
    assert contents(alone) == before


def test_only_what_is_missing_is_rendered(alone: Store, without_ray, tiny_generator: str, tmp_path):
    store = open_store(tmp_path / "half")
    for key, data in contents(alone).items():
        if not key.startswith("manifests/") and not key.startswith(("commits/00000001", "commits/00000006")):
            store.put(key, data)
    assert generate(tiny_generator, store.uri, config(250, actors=1))["rendered"] == 40 + 10
    assert contents(store) == contents(alone)


def test_a_grown_data_set_equals_one_made_at_once(alone: Store, without_ray, tiny_generator: str, tmp_path):
    store = open_store(tmp_path / "grown")
    generate(tiny_generator, store.uri, config(170, actors=2))
    grown = generate(None, store.uri, config(250, actors=2))  # by its own generator
    assert grown["rendered"] == 90 and grown["manifest"]["version"] == 2
    assert read_manifest(store).shards == read_manifest(alone).shards
    assert verify(store) == [] and len(read_log(store)) == 2


def test_a_new_data_set_needs_a_generator(tmp_path, no_ray):
    with pytest.raises(WeightsError, match="no model here"):
        generate(None, str(tmp_path / "out"), config(10))
    assert not (tmp_path / "out").exists()


def assert_pictures(store: Store, alone: Store, generator: str) -> None:
    """Every picture shows the pose beside it."""
    alpha = load_sampler(generator).alpha
    assert read_manifest(store).run.alpha == alpha.config
    keypoints_NJ2 = column(store, "keypoints")
    np.testing.assert_array_equal(keypoints_NJ2[:40], column(alone, "keypoints")[:40])
    pictures = [png for shard in PoseReader(store).blocks() for png in shard["image"]]
    assert len(pictures) == 70
    for keypoints_J2, data in zip(keypoints_NJ2, pictures, strict=True):
        image_HWC = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        np.testing.assert_array_equal(image_HWC, alpha.draw_cv(keypoints_J2))


@pytest.mark.slow
def test_pictures_of_a_pool_show_the_poses_beside_them(alone: Store, ray_cluster, tiny_generator: str, s3_uri: str):
    generate(tiny_generator, s3_uri, config(70, images="png", actors=2))
    assert_pictures(open_store(s3_uri), alone, tiny_generator)


def test_pictures_as_webp(alone: Store, without_ray, tiny_generator: str, tmp_path):
    generate(tiny_generator, str(tmp_path), config(70, images="webp"))
    assert_pictures(open_store(tmp_path), alone, tiny_generator)


@pytest.mark.slow
def test_an_error_in_an_actor_arrives_as_itself(tiny_generator: str, ray_cluster, tmp_path):
    store = open_store(tmp_path / "out")

    def spoil(*_) -> None:  # before the actors load it
        store.delete(f"{MODEL}/model.json")

    with pytest.raises(WeightsError, match="no model here") as error:
        generate(tiny_generator, store.uri, config(80), spoil)
    assert "\n" not in str(error.value)
    assert store.list("commits/") == store.list("manifests/") == []
