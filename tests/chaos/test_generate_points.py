"""SIGKILL of a worker, a node and the driver at every point of the commit protocol: the data set never differs.

All talk to the S3 server through a proxy, which holds the request of that point, kills, and drops the connection.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable

import psutil
import pytest

from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.chaos.faults import Trap, is_worker
from tests.chaos.generation import SHARDS, Command, Contents, assert_sound
from tests.nodes import Nodes
from tests.proxy import Proxy, Request

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
POINTS = {  # method, key, and whether the server has answered already
    "before render": ("GET", r"model/.+", False),
    "after put": ("PUT", r"shards/.+", True),
    "before commit": ("PUT", r"commits/.+", False),
    "after commit": ("PUT", r"commits/.+", True),
    "after last commit": ("PUT", r"commits/.+", True),
    "before manifest": ("PUT", r"manifests/.+", False),
}
# No worker is left when the manifest is written: its last moment is after the last commit, before the driver knows.
LAST = {"worker": "after last commit", "raylet": "before manifest", "driver": "before manifest"}


def raylet_of(process: psutil.Process) -> psutil.Process:
    return next(parent for parent in process.parents() if parent.name() == "raylet")


def trap_at(point: str, store: Store, command: Command, victims: Callable[[psutil.Process], list]) -> Trap:
    method, key, answered = POINTS[point]

    def here(request: Request) -> bool:
        if request.method != method or not re.search(rf"/place/{key}$", request.path):
            return False
        return point != "after last commit" or len(store.list("commits/")) == SHARDS

    def driver(process: psutil.Process) -> bool:
        return process == command.process

    return Trap(here, driver if point == "before manifest" else is_worker, answered, victims)


@pytest.mark.parametrize("point", ["before render", "after put", "before commit", "after commit", "last"])
@pytest.mark.parametrize("victim", ["worker", "raylet", "driver"])
def test_killed_at(
    victim: str, point: str, nodes: Nodes, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str
):
    store, raylets = open_store(s3_uri), nodes.raylets(2)
    command, point = Command(tiny_generator, s3_uri, nodes.env), LAST[victim] if point == "last" else point
    victims = {
        "worker": lambda client: [client],
        "raylet": lambda client: [raylets[0] if client == command.process else raylet_of(client)],
        "driver": lambda _: [command.process],
    }
    proxy.hook = trap = trap_at(point, store, command, victims[victim])
    status = command.start().end()
    assert len(trap.killed) == 1, f"the trap did not spring: {command.told}"
    if victim == "raylet":
        assert trap.killed[0] in raylets
    if victim == "driver":
        assert status == -signal.SIGKILL and store.list("manifests/") == [], "readers saw what was not whole"
        status = command.start().end()
    assert status == 0, command.told
    assert_sound(store, undisturbed)


@pytest.mark.parametrize("point", ["before commit", "after commit"])
def test_all_killed_at_once(
    point: str, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str, ray_folder: str
):
    """A machine that loses its power: the driver, and the Ray that it had started for itself."""
    store = open_store(s3_uri)
    command = Command(tiny_generator, s3_uri, os.environ | {"AWS_ENDPOINT_URL": proxy.url, "RAY_TMPDIR": ray_folder})

    def everybody(_: psutil.Process) -> list[psutil.Process]:
        return [command.process, *command.process.children(recursive=True)]

    proxy.hook = trap = trap_at(point, store, command, everybody)
    assert command.start().end() == -signal.SIGKILL, command.told
    assert len(trap.killed) > 4, "a driver, gcs_server, raylet and two actors at least"
    assert store.list("manifests/") == [], "readers saw what was not whole"
    assert command.start().end() == 0, command.told
    assert_sound(store, undisturbed)
