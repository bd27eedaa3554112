"""SIGKILL of a node's raylet: training goes on elsewhere, or with fewer workers, and ends as if nothing had been."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from flexpose_ray.config import load_recipe, pretrain_key
from flexpose_ray.engine.train.checkpoint import PREFIX, last_checkpoint
from flexpose_ray.engine.train.run import pretrain
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.chaos.pretraining import RECIPE, assert_same_run, numbers, workers_among
from tests.nodes import Nodes

PATIENCE_S = 100


@pytest.fixture
def nodes(ray_folder: str) -> Iterator[Nodes]:
    """One CPU a node, so that a worker more needs a node more.

    A cluster a test: for up to 20 s Ray counts the places for workers on nodes of before.
    """
    nodes = Nodes(ray_folder, {"RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "30"}, cpus=1)
    yield nodes
    nodes.end()


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(yaml.safe_dump(RECIPE))
    return str(file)


@pytest.fixture(scope="module")
def undisturbed(ray_cluster, recipe_file: str, tmp_path_factory) -> dict:
    return pretrain(load_recipe(recipe_file), str(tmp_path_factory.mktemp("undisturbed")))


def workers_of(raylet: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return workers_among(raylet.children(recursive=True))
    return []


def train_and_kill_a_node(
    nodes: Nodes, recipe_file: str, storage: Path, workers: str
) -> tuple[Store, list[int], float]:
    """``flexpose pretrain`` on two nodes, one of which is killed after the first checkpoint.

    Returns:
        The run's store, how many workers each node had when one was killed, and the kimg of the checkpoint then.
    """
    raylets = nodes.raylets(2)
    store = open_store(storage).child(pretrain_key(load_recipe(recipe_file)))
    command = [Path(sys.executable).with_name("flexpose"), "pretrain", recipe_file, "--storage", storage]
    driver = subprocess.Popen(
        [*command, "--set", f"pretrain.workers={workers}"], stderr=subprocess.PIPE, text=True, env=nodes.env
    )
    try:
        end = time.monotonic() + PATIENCE_S
        while not store.list(PREFIX):
            assert driver.poll() is None, driver.stderr.read()
            assert time.monotonic() < end, "no checkpoint"
            time.sleep(0.02)
        counts = [len(workers_of(raylet)) for raylet in raylets]
        victim = next(raylet for raylet in raylets if workers_of(raylet))
        victim.kill()
        while victim.is_running() and victim.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        reached = last_checkpoint(store).history[-1]["kimg"]
        assert reached < 1.6, "not killed in the middle"
        _, told = driver.communicate(timeout=PATIENCE_S * 2)
        assert driver.returncode == 0, told
    finally:
        driver.kill()
        driver.wait()
    return store, counts, reached


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_a_node_that_dies_is_left_and_the_run_ends_bit_for_bit_the_same(
    nodes: Nodes, undisturbed: dict, recipe_file: str, tmp_path: Path
):
    store, counts, _ = train_and_kill_a_node(nodes, recipe_file, tmp_path, "1")
    assert sorted(counts) == [0, 1]
    assert_same_run(json.loads(store.get("pretrain.json")), undisturbed)


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_an_elastic_run_goes_on_with_the_workers_that_are_left(
    nodes: Nodes, undisturbed: dict, recipe_file: str, tmp_path: Path
):
    """Over fifty steps; from then on rounding, which training makes grow, is more than 1e-3."""
    store, counts, reached = train_and_kill_a_node(nodes, recipe_file, tmp_path, "[1,2]")
    assert counts == [1, 1]
    assert reached < 0.8, "killed too late for what is compared"
    ours, theirs = numbers(json.loads(store.get("pretrain.json"))), numbers(undisturbed)
    assert [row["kimg"] for row in ours] == [row["kimg"] for row in theirs]
    for our, their in zip(ours[:10], theirs[:10], strict=True):
        assert our == pytest.approx(their, rel=1e-3, abs=1e-3)
