"""SIGKILL of an actor, a node, the driver and a whole machine under Ray: the same data set."""

from __future__ import annotations

import signal

import psutil
import pytest

from flexpose_ray.storage.open import open_store
from tests.chaos.faults import is_actor
from tests.chaos.generation import Contents, assert_sound, generation, trap_at
from tests.nodes import Nodes
from tests.proxy import Proxy

pytestmark = pytest.mark.slow


def raylet_of(process: psutil.Process) -> psutil.Process:
    return next(parent for parent in process.parents() if parent.name() == "raylet")


@pytest.mark.parametrize(
    ("victim", "point"), [("actor", "before commit"), ("raylet", "after put"), ("driver", "after commit")]
)
def test_killed_at(
    victim: str, point: str, nodes: Nodes, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str
):
    store, raylets = open_store(s3_uri), nodes.raylets(2)
    command = generation(tiny_generator, s3_uri, nodes.env, without_ray=False)
    victims = {
        "actor": lambda client: [client],
        "raylet": lambda client: [raylet_of(client)],
        "driver": lambda _: [command.process],
    }
    proxy.hook = trap = trap_at(point, store, command, is_actor, victims[victim])
    status = command.start().end(110)
    assert len(trap.killed) == 1, f"the trap did not spring: {command.told}"
    if victim == "raylet":
        assert trap.killed[0] in raylets
    if victim == "driver":
        assert status == -signal.SIGKILL and store.list("manifests/") == [], "readers saw what was not whole"
        status = command.start().end(110)
    assert status == 0, command.told
    assert_sound(store, undisturbed)


def test_a_machine_that_loses_its_power(
    proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str, ray_folder: str
):
    """The driver, and the Ray that it had started for itself."""
    store = open_store(s3_uri)
    env = {"AWS_ENDPOINT_URL": proxy.url, "RAY_TMPDIR": ray_folder, "RAY_ADDRESS": None}
    command = generation(tiny_generator, s3_uri, env, without_ray=False)

    def everybody(_: psutil.Process) -> list[psutil.Process]:
        return [command.process, *command.process.children(recursive=True)]

    proxy.hook = trap = trap_at("before commit", store, command, is_actor, everybody)
    assert command.start().end(110) == -signal.SIGKILL, command.told
    assert len(trap.killed) > 4, "a driver, gcs_server, raylet and two actors at least"
    assert store.list("manifests/") == [], "readers saw what was not whole"
    assert command.start().end(110) == 0, command.told
    assert_sound(store, undisturbed)
