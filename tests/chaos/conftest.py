"""A cluster whose workers talk to storage through a proxy, and what an undisturbed generation leaves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from flexpose_ray.storage.open import open_store
from tests.chaos.generation import Command, Contents, contents
from tests.nodes import Nodes
from tests.proxy import Hook, Proxy


@pytest.fixture(scope="module")
def open_proxy(s3_server: str) -> Iterator[Proxy]:
    with Proxy(s3_server).running() as proxy:
        yield proxy


@pytest.fixture
def proxy(open_proxy: Proxy) -> Iterator[Proxy]:
    """It lets all pass to the simulated server, until a test gives it another hook or another server."""
    address = open_proxy.address
    yield open_proxy
    open_proxy.hook, open_proxy.address = Hook(), address


@pytest.fixture(scope="module")
def nodes(open_proxy: Proxy, ray_folder: str) -> Iterator[Nodes]:
    nodes = Nodes(ray_folder, {"AWS_ENDPOINT_URL": open_proxy.url})
    yield nodes
    nodes.end()


@pytest.fixture(scope="module")
def undisturbed(nodes: Nodes, tiny_generator: str, tmp_path_factory) -> Contents:
    """The data set that every test here has to end with."""
    uri = str(tmp_path_factory.mktemp("undisturbed"))
    nodes.raylets(2)
    command = Command(tiny_generator, uri, nodes.env)
    assert command.start().end() == 0, command.told
    return contents(open_store(uri))
