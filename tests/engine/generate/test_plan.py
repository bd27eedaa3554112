"""A generation without Ray: its plan, its shards one by one, and what the driver asks of storage."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest

from flexpose_ray.config import GenerateConfig
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.render import ShardRenderer, render_and_commit
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.dataset.verify import verify
from flexpose_ray.engine.generate import plan, run
from flexpose_ray.engine.generate.plan import plan_generation
from flexpose_ray.engine.generate.pools import Pools
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore


def config(count: int) -> GenerateConfig:
    return GenerateConfig(count=count, seed=5, shard_size=10, batch=16)


class CountingStore(LocalStore):
    """A folder that notes every call."""

    def __init__(self, root):
        super().__init__(root)
        self.calls: list[str] = []

    def get(self, key: str) -> bytes:
        self.calls.append(f"get {key}")
        return super().get(key)

    def put(self, key: str, data: bytes) -> None:
        self.calls.append(f"put {key}")
        super().put(key, data)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        self.calls.append(f"put_if_absent {key}")
        return super().put_if_absent(key, data)

    def exists(self, key: str) -> bool:
        self.calls.append(f"exists {key}")
        return super().exists(key)

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        self.calls.append(f"list {prefix}")
        return super().iter_keys(prefix)

    def child(self, prefix: str) -> LocalStore:
        return LocalStore(self.root / prefix)


@pytest.fixture
def store(tmp_path, monkeypatch) -> CountingStore:
    """The data set as the driver of ``generate`` sees it; shards are rendered in this process, uncounted."""

    def in_process(store: Store, spec: RunSpec, missing: list[ShardId], _: Pools) -> Iterator[dict[str, np.ndarray]]:
        renderer = ShardRenderer(LocalStore(store.uri), spec)
        for shard in missing:
            done = render_and_commit(renderer, shard)
            yield {"rows": np.array([done.entry.rows]), "busy_s": np.array([done.render_s])}

    store = CountingStore(tmp_path / "data")
    monkeypatch.setattr(plan, "open_store", lambda uri: store)
    monkeypatch.setattr(run, "ray_session", lambda **_: nullcontext())
    monkeypatch.setattr(run, "cluster_pools", lambda *_: Pools(1, 0, 0))
    monkeypatch.setattr(run, "_run_stages", in_process)
    return store


def test_the_driver_reads_no_record_twice(store: CountingStore, tiny_generator: str):
    generate(tiny_generator, store.uri, config(25), lambda *_: None)
    rendering = ["list commits/", "list log/"]
    assert store.calls[:4] == ["put_if_absent run.json", "put_if_absent run.json", "list manifests/", "list commits/"]
    assert store.calls[4:7] == [*rendering, "put_if_absent log/00001.json"]
    assert sorted(store.calls[7:10]) == [f"get commits/0000000{i}-{rows}.json" for i, rows in enumerate((10, 10, 5))]
    assert store.calls[10:] == ["put_if_absent manifests/v00001.json"]

    store.calls.clear()
    generate(None, store.uri, config(40), lambda *_: None)  # grows
    begin = ["put_if_absent run.json", "get run.json", "list manifests/", "get manifests/v00001.json", "list commits/"]
    assert store.calls[:8] == [*begin, *rendering, "put_if_absent log/00002.json"]
    assert sorted(store.calls[8:12]) == [f"get commits/0000000{i}-10.json" for i in range(4)]
    assert store.calls[12:] == ["put_if_absent manifests/v00002.json"]

    store.calls.clear()
    generate(None, store.uri, config(40), lambda *_: None)  # nothing is missing
    assert store.calls[:5] == [*begin[:3], "get manifests/v00002.json", "list commits/"]
    assert len(store.calls) == 5 + 4
    assert verify(LocalStore(store.uri)) == []


def test_shards_rendered_one_by_one_are_those_of_a_whole_run(store: CountingStore, tiny_generator: str, tmp_path):
    """What processes do that know the commit protocol alone."""
    generate(tiny_generator, store.uri, config(25), lambda *_: None)
    expected = LocalStore(store.uri)
    store.__init__(tmp_path / "again")
    generation = plan_generation(tiny_generator, store.uri, config(25))
    for shard in reversed(generation.missing):
        render_and_commit(ShardRenderer(generation.store, generation.run), shard)
    manifest = generation.publish()
    assert store.get(manifest.key) == expected.get(manifest.key) == manifest.data
    assert plan_generation(tiny_generator, store.uri, config(25)).missing == []
