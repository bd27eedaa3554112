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

PAIRS, SHARDS = 3, 20
SIZES = {"builtin:coco": 20_000, "builtin:coco-adversarial": 500}  # of a shard


def pipeline(generator: str, out: str, actors: int, images: str | None) -> float:
    """Poses/s through Ray Data, from the first committed shard to the last: starting takes seconds, runs take hours."""
    seen = []

    def note(done: int, _: int) -> None:
        seen.append((time.perf_counter(), done))

    size = SIZES[generator]
    config = GenerateConfig(count=SHARDS * size, seed=0, shard_size=size, images=images, actors=actors)
    generate(generator, out, config, note)
    (start, first), (end, last) = seen[actors], seen[-1]  # the first event is the start, then every actor's first shard
    return (last - first) / (end - start)


def loop(data_set: str, threads: int) -> float:
    """Poses/s of rendering and committing the shards of that data set, one after another."""
    store = open_store(data_set)
    run, out = RunSpec.read(store), open_store(f"{data_set}-again-{time.time_ns()}")
    renderer = ShardRenderer(store, run)
    renderer.threads = threads
    shards = plan_shards(SHARDS * run.shard_size, run.shard_size)
    renderer.encode(shards[0])
    start = time.perf_counter()
    for shard in shards[1:]:
        commit_shard(out, shard.index, *renderer.encode(shard))
    return (SHARDS - 1) * run.shard_size / (time.perf_counter() - start)


@pytest.mark.bench
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("generator", "cores", "images", "least"),
    [
        ("builtin:coco-adversarial", 1, None, 0.95),
        ("builtin:coco-adversarial", 2, None, 0.95),
        ("builtin:coco-adversarial", 2, "png", 0.95),
        ("builtin:coco", 1, None, 0.9),
    ],
)
def test_engine_against_a_plain_loop(
    generator: str, cores: int, images: str | None, least: float, ray_cluster, tmp_path
):
    ratios, speeds = [], []
    for pair in range(PAIRS):
        out = str(tmp_path / str(pair))
        speeds.append(pipeline(generator, out, cores, images))
        ratios.append(speeds[-1] / loop(out, cores))
    found = median(ratios)
    what = f"{generator}, {cores} actor{'s' * (cores > 1)}, {'with ' + images if images else 'keypoints alone'}"
    print(f"\nengine, {what}: {found:.2f} times a loop with {cores} threads ({median(speeds):,.0f} poses/s)")
    assert found > least
