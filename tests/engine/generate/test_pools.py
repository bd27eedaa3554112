"""How many actors sample and draw."""

from __future__ import annotations

import pytest

from flexpose_ray.engine.generate.pools import pool_sizes
from flexpose_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [
        ({"actors": None, "images": False}, (2, 0)),
        ({"actors": None, "images": True}, (2, 1)),
        ({"actors": 3, "images": False}, (3, 0)),
        ({"actors": 3, "images": True}, (3, 1)),
        ({"actors": 3, "images": True, "shards": 1}, (1, 1)),
        ({"actors": None, "images": True, "cpus": 64, "cores": 64}, (48, 16)),
        ({"actors": None, "images": False, "cpus": 64, "cores": 64, "gpus": 2}, (2, 0)),
        ({"actors": None, "images": True, "cpus": 64, "cores": 64, "gpus": 2}, (2, 62)),
        ({"actors": None, "images": False, "cpus": 0, "cores": 0}, (1, 0)),
        ({"actors": 8, "images": False}, (8, 0)),
    ],
)
def test_pool_sizes(asked: dict, sizes: tuple[int, int]):
    assert pool_sizes(**({"shards": 100, "cpus": 4, "cores": 2, "gpus": 0} | asked)) == sizes


def test_pools_that_would_starve_each_other():
    with pytest.raises(ConfigError, match="more than the 4 CPUs"):
        pool_sizes(actors=4, images=True, shards=100, cpus=4, cores=2, gpus=0)
