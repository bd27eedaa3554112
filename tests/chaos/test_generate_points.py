"""SIGKILL of a worker, a node and the driver at every point of the commit protocol: the data set never differs.

All talk to the S3 server through a proxy, which holds the request of that point, kills, and drops the connection.
"""

from __future__ import annotations

import re

import psutil
import pytest

from flexpose_ray.io.store import open_store
from tests.chaos.generation import SHARDS, Command, Contents, assert_sound
from tests.nodes import Nodes
from tests.proxy import Proxy, Request, Trap

POINTS = {  # method, key, and whether the server has answered already
    "before render": ("GET", r"model/.+", False),
    "after put": ("PUT", r"shards/.+", True),
    "before commit": ("PUT", r"commits/.+", False),
    "after commit": ("PUT", r"commits/.+", True),
    "before manifest": ("PUT", r"manifests/.+", False),
}


def is_worker(process: psutil.Process) -> bool:
    return "MapWorker" in " ".join(process.cmdline())


def raylet_of(process: psutil.Process) -> psutil.Process:
    return next(parent for parent in process.parents() if parent.name() == "raylet")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("victim", ["worker", "raylet", "driver"])
def test_killed_at(
    victim: str, point: str, nodes: Nodes, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str
):
    store, raylets = open_store(s3_uri), nodes.raylets(2)
    command = Command(tiny_generator, s3_uri, nodes.env)
    method, key, answered = POINTS[point]
    sender = is_worker
    victims = {"worker": lambda client: client, "raylet": raylet_of, "driver": lambda _: command.process}
    if point == "before manifest":
        # Every actor has ended by now, for the driver has left Ray; a node may still be lost. So the worker dies at the
        # last request before the manifest: its last shard is committed, and nobody has told the driver.
        sender = lambda client: client == command.process  # noqa: E731
        victims["raylet"] = lambda _: raylets[0]
        if victim == "worker":
            method, key, answered, sender = "PUT", r"commits/.+", True, is_worker

    def here(request: Request) -> bool:
        if request.method != method or not re.search(rf"/place/{key}$", request.path):
            return False
        return (victim, point) != ("worker", "before manifest") or len(store.list("commits/")) == SHARDS

    proxy.hook = trap = Trap(here, sender, answered, victims[victim])
    command.start()
    status = command.end()
    assert trap.killed is not None, f"the trap did not spring: {command.told}"
    if victim == "raylet":
        assert trap.killed in raylets
        nodes.start(1)  # for the next test, while this one goes on
    if victim == "driver":
        assert status == -9 and store.list("manifests/") == [], "readers saw a data set before it was whole"
        status = command.start().end()
    assert status == 0, command.told
    assert_sound(store, undisturbed)
