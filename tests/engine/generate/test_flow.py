"""Mass sampling of a flow: the promises of every data set, and what is a flow's own."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.verify import verify
from flexpose_ray.engine.generate.repair import repair
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.errors import ConfigError
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.networks.sampler import FlowSampler
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests import here
from tests.small_flow import save_blended, save_flow

KEEP = {"gate": {"mode": "off"}}  # an untrained flow's poses are odd


def config(count: int, **changes: object) -> GenerateConfig:
    return GenerateConfig(**{"count": count, "seed": 5, "shard_size": 40, "batch": 16, **KEEP} | changes)


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list() if not key.startswith("log/")}


@pytest.fixture(scope="module")
def flow(tmp_path_factory) -> str:
    uri = str(tmp_path_factory.mktemp("flow"))
    save_flow(uri)
    return uri


@pytest.fixture(scope="module")
def alone(flow: str, tmp_path_factory) -> Store:
    """250 poses in a folder, made by this process."""
    uri = str(tmp_path_factory.mktemp("alone"))
    with here.without_ray():
        generate(flow, uri, config(250), lambda *_: None)
    return open_store(uri)


def test_poses_are_those_of_their_addresses(alone: Store, flow: str):
    assert verify(alone) == []
    poses, confidence = load_sampler(flow).sample(5, np.arange(250))
    blocks = list(PoseReader(alone).blocks())
    np.testing.assert_array_equal(np.concatenate([block["keypoints"] for block in blocks]), poses)
    np.testing.assert_array_equal(np.concatenate([block["confidence"] for block in blocks]), confidence)


def test_a_grown_data_set_equals_one_made_at_once(alone: Store, without_ray, flow: str, tmp_path):
    for count in (30, 100, 250):
        generate(flow, str(tmp_path), config(count), lambda *_: None)
    grown = open_store(tmp_path)
    assert {entry.shard for entry in read_manifest(grown).shards} == {e.shard for e in read_manifest(alone).shards}
    assert verify(grown) == []


def test_what_is_lost_is_rendered_again(alone: Store, without_ray, tmp_path):
    copy = open_store(tmp_path)
    for key, value in contents(alone).items():
        copy.put(key, value)
    (victim, *_) = copy.list("shards/")
    copy.delete(victim)
    repair(copy)
    assert contents(copy) == contents(alone)


def test_the_schema_says_what_the_confidence_means(alone: Store):
    (key, *_) = alone.list("shards/")
    schema = pq.read_schema(f"{alone.uri.removeprefix('file://')}/{key}")
    assert schema.field("confidence").metadata[b"meaning"].decode() == FlowSampler.confidence


def test_a_flow_takes_large_shards_by_default(without_ray, flow: str, tmp_path):
    generate(flow, str(tmp_path), GenerateConfig(count=20, **KEEP), lambda *_: None)
    assert read_manifest(open_store(tmp_path)).run.shard_size == 10_000


def test_a_test_that_only_a_beta_can_make_is_refused(flow: str, tmp_path):
    with pytest.raises(ConfigError, match="round_trip"):
        generate(flow, str(tmp_path), config(10, gate={"round_trip": 0.1}), lambda *_: None)


def test_bfloat16_is_another_data_set_and_says_so(alone: Store, without_ray, flow: str, tmp_path):
    generate(flow, str(tmp_path), config(250, bf16=True), lambda *_: None)
    store = open_store(tmp_path)
    assert verify(store) == []
    assert (read_manifest(store).run.precision, read_manifest(alone).run.precision) == ("bfloat16", None)
    one, other = (np.concatenate([b["keypoints"] for b in PoseReader(s).blocks()]) for s in (store, alone))
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(one, other, atol=0.05)


def test_an_adapted_flow_is_sampled_too(without_ray, flow: str, tmp_path):
    save_blended(str(tmp_path / "adapted"), flow)
    generate(str(tmp_path / "adapted"), str(tmp_path / "out"), config(50), lambda *_: None)
    assert verify(open_store(tmp_path / "out")) == []


@pytest.mark.slow
def test_bytes_depend_neither_on_actors_nor_on_the_store(alone: Store, ray_cluster, flow: str, s3_uri: str):
    generate(flow, s3_uri, config(250, actors=2), lambda *_: None)
    assert contents(open_store(s3_uri)) == contents(alone)
