"""What Ray costs: mass sampling through the engine against the same work in a plain loop of one process."""

from __future__ import annotations

import time
from statistics import median

import pytest

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.commits import commit_shard
from flexpose_ray.dataset.layout import plan_shards
from flexpose_ray.dataset.render import ShardRenderer
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.storage.open import open_store

PAIRS, SHARDS, SIZE = 3, 20, 500


def pipeline(out: str, actors: int, images: str | None) -> float:
    """Poses/s through Ray Data, from the first committed shard to the last: starting takes seconds, runs take hours."""
    seen = []

    def note(done: int, _: int) -> None:
        seen.append((time.perf_counter(), done))

    count = SHARDS * SIZE
    config = GenerateConfig(count=count, seed=0, shard_size=SIZE, images=images, actors=actors)
    generate("builtin:coco-adversarial", out, config, note)
    (start, first), (end, last) = seen[actors], seen[-1]  # the first event is the start, then every actor's first shard
    return (last - first) / (end - start)


def loop(data_set: str, threads: int) -> float:
    """Poses/s of rendering and committing the shards of that data set, one after another."""
    store = open_store(data_set)
    renderer, out = ShardRenderer(store, RunSpec.read(store)), open_store(f"{data_set}-again-{time.time_ns()}")
    renderer.threads = threads
    shards = plan_shards(SHARDS * SIZE, SIZE)
    renderer.encode(shards[0])
    start = time.perf_counter()
    for shard in shards[1:]:
        commit_shard(out, shard.index, *renderer.encode(shard))
    return (SHARDS - 1) * SIZE / (time.perf_counter() - start)


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("cores", "images"), [(1, None), (2, None), (2, "png")])
def test_engine_against_a_plain_loop(cores: int, images: str | None, ray_cluster, tmp_path):
    ratios, speeds = [], []
    for pair in range(PAIRS):
        out = str(tmp_path / str(pair))
        speeds.append(pipeline(out, cores, images))
        ratios.append(speeds[-1] / loop(out, cores))
    found = median(ratios)
    what = f"{cores} actor{'s' * (cores > 1)}, {'with ' + images if images else 'keypoints alone'}"
    print(f"\nengine, {what}: {found:.2f} times a loop with {cores} threads ({median(speeds):,.0f} poses/s)")
    assert found > 0.95
