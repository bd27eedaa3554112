"""The generation that these tests disturb: `flexpose generate` of a few shards, as a process."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import psutil

from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.shards import decode_shard
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.base import Store
from tests.chaos.faults import Trap
from tests.forked import ForkedCommand
from tests.proxy import Request

COUNT, SHARD_SIZE = 120, 20
SHARDS = COUNT // SHARD_SIZE
Contents = dict[str, bytes]

POINTS = {  # method, key, and whether the server has answered already
    "before render": ("GET", r"model/.+", False),
    "after put": ("PUT", r"shards/.+", True),
    "before commit": ("PUT", r"commits/.+", False),
    "after commit": ("PUT", r"commits/.+", True),
    "after last commit": ("PUT", r"commits/.+", True),
    "before manifest": ("PUT", r"manifests/.+", False),
}


def generation(
    generator: str, out: str, env: dict[str, str | None], count: int = COUNT, without_ray: bool = True
) -> ForkedCommand:
    """``flexpose generate`` with the same settings every time."""
    settings = [f"generate.shard_size={SHARD_SIZE}", f"generate.batch={SHARD_SIZE}"]
    options = {"generator": generator, "out": out, "count": count, "seed": 3, "actors": 2}
    words = ["generate", *(word for key, value in options.items() for word in (f"--{key}", str(value)))]
    return ForkedCommand([*words, *(word for setting in settings for word in ("--set", setting))], env, without_ray)


def trap_at(
    point: str,
    store: Store,
    command: ForkedCommand,
    is_worker: Callable[[psutil.Process], bool],
    victims: Callable[[psutil.Process], list[psutil.Process]],
) -> Trap:
    """A trap at the first request of a point; the manifest is the driver's, all others are a worker's."""
    method, key, answered = POINTS[point]

    def here(request: Request) -> bool:
        if request.method != method or not re.search(rf"/place/{key}$", request.path):
            return False
        return point != "after last commit" or len(store.list("commits/")) == SHARDS

    def is_driver(process: psutil.Process) -> bool:
        return process == command.process

    return Trap(here, is_driver if point == "before manifest" else is_worker, answered, victims)


def contents(store: Store) -> Contents:
    """All that two runs of one command have in common."""
    return {key: store.get(key) for key in store.list() if not key.startswith("log/")}


def assert_sound(store: Store, expected: Contents) -> None:
    """Every pose once, whole, and the very bytes of an undisturbed run; nothing is left over."""
    manifest = read_manifest(store)
    index = np.concatenate([decode_shard(store.get(entry.shard))["index"] for entry in manifest.shards])
    np.testing.assert_array_equal(index, np.arange(manifest.count))
    assert verify(store) == []
    found = contents(store)
    assert found.keys() == expected.keys()
    assert [key for key in found if found[key] != expected[key]] == []
