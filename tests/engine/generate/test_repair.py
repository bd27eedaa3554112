"""Rendering again: proof that a data set is what its addresses say, and mending of what is not."""

from __future__ import annotations

import pytest

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.layout import MODEL, ShardId
from flexpose_ray.dataset.manifest import manifest_keys, read_manifest
from flexpose_ray.dataset.verify import verify
from flexpose_ray.engine.generate.repair import regenerate, repair
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.errors import NonDeterminismError, WeightsError
from flexpose_ray.storage.base import Store, read_json
from flexpose_ray.storage.open import open_store
from tests import here


@pytest.fixture(scope="module")
def made(tiny_generator: str, tmp_path_factory) -> dict[str, bytes]:
    """All objects of 130 poses with pictures in four shards."""
    uri = str(tmp_path_factory.mktemp("made"))
    config = GenerateConfig(count=130, seed=5, shard_size=40, batch=16, images="png")
    with here.without_ray():
        generate(tiny_generator, uri, config, lambda *_: None)
    store = open_store(uri)
    return {key: store.get(key) for key in store.list() if not key.startswith("log/")}


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.slow)])
def data_set(request, made: dict[str, bytes], tmp_path) -> Store:
    """A copy to be damaged, where the workers of the session's Ray reach it."""
    store = open_store(tmp_path / "store" if request.param == "folder" else request.getfixturevalue("s3_uri"))
    for key, data in made.items():
        store.put(key, data)
    return store


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list() if not key.startswith("log/")}


def test_rendering_again_gives_the_same_bytes(data_set: Store):
    steps = []
    assert regenerate(data_set, 2, on_progress=lambda *at: steps.append(at)) == []
    assert steps == [(1, 2), (2, 2)]
    assert regenerate(data_set, 100) == []


def test_rendering_again_finds_what_the_hashes_cannot(data_set: Store):
    """A shard that was exchanged together with its commit and the manifest."""
    key = manifest_keys(data_set)[-1]
    manifest = read_json(data_set, key)
    manifest["shards"][2]["sha256"] = manifest["shards"][1]["sha256"]
    data_set.put(key, canonical_json(manifest))
    (found,) = regenerate(data_set, 4)
    assert found.shard == ShardId(2, 40)
    assert regenerate(data_set, 0) == []


@pytest.mark.slow
def test_damage_is_mended_by_ray_to_the_same_bytes(ray_cluster, data_set: Store, made: dict[str, bytes]):
    keys = [entry.shard for entry in read_manifest(data_set).shards]
    one, two = data_set.get(keys[0]), data_set.get(keys[1])
    data_set.put(keys[0], two)
    data_set.put(keys[1], one)
    data_set.put(keys[2], one[:100])
    data_set.delete(keys[3])
    data_set.delete(ShardId(0, 40).commit_key)
    data_set.put(ShardId(3, 10).commit_key, b"{")
    assert len(verify(data_set)) == 6
    steps = []
    assert repair(data_set, lambda *at: steps.append(at)) == {"shards": 4, "commits": 2, "left": []}
    assert steps[-1] == (4, 4)
    assert contents(data_set) == made


def test_a_sound_data_set_stays_as_it_is(data_set: Store, made: dict[str, bytes]):
    assert repair(data_set) == {"shards": 0, "commits": 0, "left": []}
    assert contents(data_set) == made


def test_what_comes_out_otherwise_is_not_put(without_ray, data_set: Store, made: dict[str, bytes]):
    """The manifest names bytes that this machine does not render."""
    key = manifest_keys(data_set)[-1]
    manifest = read_json(data_set, key)
    manifest["shards"][1]["sha256"] = "0" * 64
    data_set.put(key, canonical_json(manifest))
    with pytest.raises(NonDeterminismError, match="rendered again"):
        repair(data_set)
    assert {k: v for k, v in contents(data_set).items() if k.startswith("shards/")} == {
        k: v for k, v in made.items() if k.startswith("shards/") and k != manifest["shards"][1]["shard"]
    }


def test_without_the_model_nothing_is_touched(without_ray, data_set: Store):
    shard = read_manifest(data_set).shards[1].shard
    data_set.put(shard, b"damaged")
    data_set.delete(f"{MODEL}/model.json")
    with pytest.raises(WeightsError, match="no model here"):
        repair(data_set)
    assert data_set.get(shard) == b"damaged"
