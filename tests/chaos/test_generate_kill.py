"""SIGKILL of a whole generation in its middle: repeating the command ends as if nothing had happened."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from flexpose_ray.engine.generate import generate
from flexpose_ray.io.manifest import committed, iter_shards, verify
from flexpose_ray.io.store import open_store

COUNT, SHARD_SIZE = 3000, 50
RUN = {"count": COUNT, "seed": 3, "shard_size": SHARD_SIZE, "batch": 50}
PROGRAM = f"""
import sys
from flexpose_ray.engine.generate import generate
generate(sys.argv[1], sys.argv[2], count={COUNT}, seed=3, shard_size={SHARD_SIZE}, actors=2, batch=50)
"""


def _kill_after(shards: int, command: list[str], uri: str) -> int:
    """Run ``command`` until so many shards are committed, kill it and all that it started; returns how many are."""
    store = open_store(uri)
    driver = psutil.Popen(command, stderr=subprocess.DEVNULL)
    try:
        while len(committed(store)) < shards:
            assert driver.poll() is None, f"ended by itself with status {driver.returncode}"
            time.sleep(0.02)
    finally:
        started = driver.children(recursive=True) if driver.is_running() else []
        driver.kill()  # first the driver alone, as the kernel or a user would
        driver.wait()
        for process in started:
            if process.is_running():
                process.kill()
        psutil.wait_procs(started, timeout=30)
    return len(committed(store))


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, tiny_generator: str, tmp_path_factory) -> dict[str, bytes]:
    """All objects of the same data set, made without a kill."""
    uri = str(tmp_path_factory.mktemp("undisturbed"))
    generate(tiny_generator, uri, actors=2, **RUN)
    store = open_store(uri)
    return {key: store.get(key) for key in store.list()}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_a_killed_run_is_continued_exactly(
    kind: str, undisturbed: dict[str, bytes], tiny_generator: str, tmp_path: Path, request
):
    uri = str(tmp_path / "killed") if kind == "folder" else request.getfixturevalue("s3_uri")
    done = _kill_after(5, [sys.executable, "-c", PROGRAM, tiny_generator, uri], uri)
    assert 5 <= done < COUNT // SHARD_SIZE, "not killed in the middle"
    store = open_store(uri)
    assert store.list("manifests/") == [], "readers saw a data set before it was whole"

    rest = generate(tiny_generator, uri, actors=1, **RUN)
    assert rest["rendered"] == COUNT - done * SHARD_SIZE
    index = np.concatenate([shard["index"] for shard in iter_shards(store)])
    np.testing.assert_array_equal(index, np.arange(COUNT))
    assert verify(store) == []
    assert {key: store.get(key) for key in store.list()} == undisturbed, "neither other bytes nor anything left over"
