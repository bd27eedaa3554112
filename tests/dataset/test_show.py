"""Describing a data set."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.show import format_show, show
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.models.generators import load_sampler
from flexpose_ray.storage.base import MissingKeyError
from flexpose_ray.storage.open import open_store

pytestmark = pytest.mark.slow


def sample(generator: str | None, uri: str, count: int) -> dict:
    config = GenerateConfig(count=count, seed=5, shard_size=40, batch=16)
    return generate(generator, uri, config, lambda *_: None)


def test_a_data_set_of_an_adapted_model(without_ray, tiny_adapted: str, tmp_path):
    store = open_store(tmp_path / "data")
    made = sample(tiny_adapted, store.uri, 130)
    shown = show(store)
    sampler = load_sampler(tiny_adapted)
    wanted = {"count": 130, "shards": 4, "seed": 5, "generator": sampler.digest, "manifest": made["manifest"]}
    assert wanted.items() <= shown.items()
    assert shown["schema"]["keypoints"].startswith("fixed_size_list") and shown["committed"] == shown["drawn"] == 130
    assert shown["bytes"] == sum(len(store.get(key)) for key in store.list("shards/"))
    assert shown["rejects"] == made["rejects"] and sum(shown["rejects"].values()) > 0, "an untrained generator"
    poses_NJ2 = np.concatenate([shard["keypoints"] for shard in PoseReader(store).blocks()])
    assert shown["fd_to_shots"] == pytest.approx(frechet_distance(poses_NJ2, sampler.shots_SJ2))
    cost = shown["cost"]
    assert cost["poses"] == 130 and cost["cpu_s_per_million"] > 0 == cost["gpu_s_per_million"]
    text = format_show(shown)
    for part in ("130 poses in 4 shards", "warn; of 130 drawn", "FD to shots", "CPU-seconds a million"):
        assert part in text


def test_work_that_is_not_published(without_ray, tiny_generator: str, tmp_path):
    store = open_store(tmp_path / "data")
    sample(tiny_generator, store.uri, 130)
    sample(None, store.uri, 170)
    store.delete("manifests/v00002.json")
    shown = show(store)
    assert (shown["count"], shown["committed"], shown["fd_to_shots"]) == (130, 170, None)
    assert "170 poses committed; repeat the command" in format_show(shown)
    store.delete("manifests/v00001.json")
    assert show(store)["count"] == 0 and "published" not in format_show(show(store))


def test_no_data_set(tmp_path):
    with pytest.raises(MissingKeyError, match=r"run\.json"):
        show(open_store(tmp_path))
