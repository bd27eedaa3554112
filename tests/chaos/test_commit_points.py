"""SIGKILL at every point of the commit protocol: of a worker, of all at once, of the driver, of everybody.

All talk to the S3 server through a proxy, which holds the request of that point, kills, and drops the connection. The
protocol knows no Ray, so that these are plain processes; test_generate_ray.py does the same to Ray's.
"""

from __future__ import annotations

import signal

import pytest

from flexpose_ray.storage.open import open_store
from tests.chaos.generation import Contents, assert_sound, generation, trap_at
from tests.proxy import Proxy

pytestmark = pytest.mark.slow
# No worker is left when the manifest is written: its last moment is after the last commit, before the driver knows.
LAST = {"worker": "after last commit", "workers": "after last commit", "driver": "before manifest"}


@pytest.mark.parametrize("point", ["before render", "after put", "before commit", "after commit", "last"])
@pytest.mark.parametrize("victim", ["worker", "workers", "driver", "everybody"])
def test_killed_at(victim: str, point: str, proxy: Proxy, undisturbed: Contents, tiny_generator: str, s3_uri: str):
    store = open_store(s3_uri)
    command = generation(tiny_generator, s3_uri, {"AWS_ENDPOINT_URL": proxy.url})
    victims = {
        "worker": lambda client: [client],
        "workers": lambda _: command.workers(),
        "driver": lambda _: [command.process],
        "everybody": lambda _: [command.process, *command.workers()],
    }
    at = LAST.get(victim, "before manifest") if point == "last" else point
    proxy.hook = trap = trap_at(at, store, command, lambda process: process != command.process, victims[victim])
    status = command.start().end()
    killed = trap.killed
    assert killed, f"the trap did not spring: {command.told}"
    if victim in ("worker", "driver"):
        assert len(killed) == 1
    if command.process in killed:
        assert victim in ("driver", "everybody")
        assert status == -signal.SIGKILL and store.list("manifests/") == [], "readers saw what was not whole"
        status = command.start().end()
    assert status == 0, command.told
    assert_sound(store, undisturbed)
