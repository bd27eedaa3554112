"""SIGKILL of a node's raylet: training goes on elsewhere, and ends as if nothing had been.

That it goes on with fewer workers where there is no other node is seen in tests/clusters/test_multinode.py.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from flexpose_ray.config import load_recipe, pretrain_key
from flexpose_ray.engine.train.checkpoint import PREFIX, last_checkpoint
from flexpose_ray.storage.open import open_store
from tests.chaos.faults import wait_dead
from tests.chaos.pretraining import RECIPE, assert_same_run, workers_among
from tests.forked import ForkedCommand
from tests.nodes import Nodes


def workers_of(raylet: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return workers_among(raylet.children(recursive=True))
    return []


@pytest.mark.slow
def test_a_node_that_dies_is_left_and_the_run_ends_bit_for_bit_the_same(
    nodes: Nodes, undisturbed_training: dict, tmp_path: Path
):
    file, raylets = tmp_path / "tiny.yaml", nodes.raylets(2)
    file.write_text(yaml.safe_dump(RECIPE))
    store = open_store(tmp_path).child(pretrain_key(load_recipe(str(file))))
    driver = ForkedCommand(["pretrain", file, "--storage", tmp_path], nodes.env).start()
    try:
        while not store.list(PREFIX):
            assert driver.runs(), driver.told
            time.sleep(0.02)
        counts = [len(workers_of(raylet)) for raylet in raylets]
        victim = next(raylet for raylet in raylets if workers_of(raylet))
        victim.kill()
        wait_dead(victim)
        assert last_checkpoint(store).history[-1]["kimg"] < 1.6, "not killed in the middle"
        assert driver.end(300) == 0, driver.told
    finally:
        driver.kill()
    assert sorted(counts) == [0, 1]
    assert_same_run(json.loads(store.get("pretrain.json")), undisturbed_training)
