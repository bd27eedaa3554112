"""SIGKILL of a training worker, and of a command with its worker: the run ends with the undisturbed losses."""

from __future__ import annotations

import time
from pathlib import Path

import psutil
import pytest
import yaml

from flexpose_ray.config import load_recipe, pretrain_key
from flexpose_ray.engine.train.checkpoint import PREFIX, last_checkpoint
from flexpose_ray.engine.train.run import pretrain
from flexpose_ray.storage.open import open_store
from tests import here
from tests.chaos.pretraining import RECIPE, assert_same_run, workers_among
from tests.forked import ForkedCommand
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    file.write_text(yaml.safe_dump(RECIPE))
    return str(file)


def test_a_worker_that_is_killed_is_replaced_and_goes_on_from_the_checkpoint(
    undisturbed_training: dict, ray_cluster, recipe_file: str, tmp_path: Path
):
    recipe = load_recipe(recipe_file)
    store = open_store(tmp_path).child(pretrain_key(recipe))
    rows, killed, reached = [], [], []

    def kill_once(row: dict) -> None:
        rows.append(row)
        if row.get("kimg", 0) >= 0.24 and last_checkpoint(store) is not None and not killed:
            killed.extend(workers_among(psutil.Process().children(recursive=True)))
            for worker in killed:
                worker.kill()
            gone, _ = psutil.wait_procs(killed, timeout=PATIENCE_S)
            assert gone == killed
            reached.append(last_checkpoint(store).history[-1]["kimg"])

    done = pretrain(recipe, str(tmp_path), kill_once)
    assert len(killed) == 1
    assert reached[0] < 1.6, "the worker had finished before it was killed"
    assert sum("beta_step" in row for row in rows) == 10, "beta was trained again"
    assert_same_run(done, undisturbed_training)


def test_a_command_that_is_killed_continues_when_repeated(
    undisturbed_training: dict, joins_ray: dict[str, str], recipe_file: str, tmp_path: Path
):
    recipe = load_recipe(recipe_file)
    store = open_store(tmp_path).child(pretrain_key(recipe))
    driver = ForkedCommand(["pretrain", recipe_file, "--storage", tmp_path], joins_ray).start()
    try:
        while not store.list(PREFIX):
            assert driver.runs(), f"ended by itself: {driver.told}"
            time.sleep(0.02)
        workers = workers_among(psutil.Process().children(recursive=True))
        for worker in workers:
            worker.kill()  # or it would hear of the driver's death, and write a last checkpoint
    finally:
        driver.kill()
    assert len(workers) == 1
    end = time.monotonic() + 60
    while workers_among(psutil.Process().children(recursive=True)):
        assert time.monotonic() < end, "a worker outlived the command that started it"
        time.sleep(0.1)
    assert not store.exists("pretrain.json"), "not killed in the middle"
    reached = last_checkpoint(store).history[-1]["kimg"]
    assert reached < 1.6

    rows = []
    with here.without_ray():
        done = pretrain(recipe, str(tmp_path), rows.append)
    assert rows[0]["kimg"] == pytest.approx(reached + 0.08), "started again from the beginning"
    assert_same_run(done, undisturbed_training)
