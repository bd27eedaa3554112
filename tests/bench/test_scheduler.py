"""Many more actors than this machine has cores: they sleep where a GPU would work, all the rest is real.

``FLEXPOSE_SCALE=ACTORS,SHARDS,SECONDS`` sets the size. An actor is a process of about 250 MiB.
"""

from __future__ import annotations

import os
import time

import numpy as np
import psutil
import pytest

from flexpose_ray.dataset.commits import commit_shard, committed
from flexpose_ray.dataset.layout import ShardId, plan_shards
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.engine.generate import run as generate
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.storage.open import open_store
from tests.run_specs import run_spec

ACTORS, SHARDS, SECONDS = (float(x) for x in os.environ.get("FLEXPOSE_SCALE", "32,2000,1").split(","))
MIB = 2**20


class Sleeper:
    """Takes the place of ``SampleAndCommit``: as long for a shard as a GPU is told to take, then its commit."""

    def __init__(self, out_uri: str, run: RunSpec, device: str):
        self.store = open_store(out_uri)

    def __call__(self, row: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        began, shard = time.monotonic(), ShardId(int(row["index"][0]), int(row["rows"][0]))
        time.sleep(SECONDS)
        commit_shard(self.store, shard.index, shard.index.to_bytes(8), {"rows": shard.rows})
        return {"rows": row["rows"], "busy_s": np.array([time.monotonic() - began])}


@pytest.mark.bench
@pytest.mark.timeout(3600)
def test_no_shard_is_lost_and_the_driver_stays_small(monkeypatch, tmp_path):
    actors, store = int(ACTORS), open_store(tmp_path / "set")
    monkeypatch.setattr(generate, "SampleAndCommit", Sleeper)
    shards, driver = plan_shards(int(SHARDS), 1), psutil.Process()
    ends, done, sizes = [], [0], []
    with ray_session(cpus=actors):
        for part in generate._run_stages(store, run_spec(), shards, generate.Pools(actors, 0, 0)):
            ends.append(time.monotonic())
            done.append(done[-1] + part["rows"].sum())  # a pose a shard
            sizes.append(driver.memory_info().rss / MIB)
    assert committed(store) == set(shards)
    first, last = len(ends) // 2, len(ends) - 2 * actors  # all actors have started, and none has run out of work
    rate = (done[last] - done[first]) / (ends[last - 1] - ends[first - 1])
    ideal, growth = actors / SECONDS, sizes[-1] - sizes[len(sizes) // 10]
    print(
        f"\n{actors} actors of {SECONDS:g} s, {len(shards):,} shards: {rate:.1f} shards/s, {rate / ideal:.2f} of ideal"
    )
    print(f"driver: {sizes[-1]:.0f} MiB, {growth:+.0f} MiB since a tenth")
    assert rate > 0.9 * ideal
    assert growth < 100
