"""A proxy in front of the simulated S3 server, and what an undisturbed generation leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flexpose_ray.storage.open import open_store
from tests.chaos.generation import Contents, contents, generation
from tests.nodes import Nodes
from tests.proxy import Hook, Proxy


@pytest.fixture(scope="session")
def open_proxy(s3_server: str) -> Iterator[Proxy]:
    with Proxy(s3_server).running() as proxy:
        yield proxy


@pytest.fixture
def proxy(open_proxy: Proxy) -> Iterator[Proxy]:
    """It lets all pass to the simulated server, until a test gives it another hook or another server."""
    address = open_proxy.address
    yield open_proxy
    open_proxy.hook, open_proxy.address = Hook(), address


@pytest.fixture(scope="session")
def nodes(open_proxy: Proxy, ray_folder: str) -> Iterator[Nodes]:
    """One cluster of several nodes for all tests that kill a node; one CPU a node, so that two workers need two."""
    env = {"AWS_ENDPOINT_URL": open_proxy.url, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30"}
    nodes = Nodes(ray_folder, env, cpus=1)
    yield nodes
    nodes.end()


@pytest.fixture(scope="session")
def undisturbed(tiny_generator: str, tmp_path_factory) -> Contents:
    """The data set that every generation here has to end with."""
    uri = str(tmp_path_factory.mktemp("undisturbed"))
    command = generation(tiny_generator, uri, {})
    assert command.start().end() == 0, command.told
    return contents(open_store(uri))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End the nodes after the last test that uses them: even idle ones take a tenth of a core each."""
    if (nodes := item.funcargs.get("nodes")) and "nodes" not in getattr(nextitem, "fixturenames", ()):
        nodes.end()
