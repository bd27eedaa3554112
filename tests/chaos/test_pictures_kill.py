"""Trainings on pictures that are stopped, killed, or lose their node end as if nothing had been."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest
import torch

from flexpose_ray.cli import main
from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.models.weights import read_model
from flexpose_ray.storage.open import open_store
from tests import here
from tests.chaos.faults import wait_dead
from tests.chaos.kill import wait_until
from tests.chaos.pretraining import workers_among
from tests.forked import ForkedCommand
from tests.nodes import Nodes

pytestmark = pytest.mark.slow

DATA = ["--pictures", "synthetic:studio?count=48&backdrop=no", "--prior", "synthetic:studio?count=100"]
SMALL = ["size=32", "width=8", "batch=4", "prepare_steps=300", "steps=300"]
DETECTOR = ["detect", "train", *DATA, *(f"--set={text}" for text in SMALL)]
TINY = ["size=16", "width=8", "blocks=1", "critic_width=8", "pool=6", "steps=250"]
TRANSLATOR = ["translate", "train", *DATA, *(f"--set={text}" for text in TINY)]
LAST = 250  # step of the translator


def undisturbed(command: list[str], kind: str, folder: Path) -> str:
    """Digest of what a command makes where nothing disturbs it."""
    threads = torch.get_num_threads()
    with here.without_ray(os.cpu_count()):  # as many threads as the only worker of a training takes
        assert main([*command, "--out", str(folder)]) == 0
    torch.set_num_threads(threads)
    return read_model(str(folder), kind).digest


def at_work(driver: ForkedCommand, processes: list[psutil.Process]) -> list[psutil.Process]:
    """The workers of a training, once it goes forward."""
    wait_until(lambda: "kimg/s" in driver.told, driver)
    return workers_among([p for parent in processes for p in parent.children(recursive=True)])


def test_a_translator_s_training_goes_on_after_a_stop_and_kills(joins_ray: dict[str, str], tmp_path: Path):
    command, store = [*TRANSLATOR, "--out", tmp_path / "m"], open_store(str(tmp_path / "m/training"))

    def step() -> int:
        last = last_checkpoint(store) if store.list("checkpoints/") else None
        return 0 if last is None else int(last.numbers["step"])

    driver = ForkedCommand(command, joins_ray).start()
    wait_until(lambda: "kimg/s" in driver.told, driver)
    os.kill(driver.process.pid, signal.SIGTERM)
    assert driver.end() != 0 and "stopped by SIGTERM" in driver.told
    stopped = step()
    assert 0 < stopped < LAST

    driver = ForkedCommand(command, joins_ray).start()
    (worker,) = at_work(driver, [psutil.Process()])
    worker.kill()
    driver.kill()
    assert not (tmp_path / "m/model.json").exists() and stopped <= step() < LAST

    driver = ForkedCommand(command, joins_ray).start()
    (worker,) = at_work(driver, [psutil.Process()])
    worker.kill()  # Ray Train starts another
    assert driver.end(600) == 0, driver.told
    assert read_model(str(tmp_path / "m"), "translator").digest == undisturbed(TRANSLATOR, "translator", tmp_path / "w")
    assert not store.list()


def test_a_detector_s_training_leaves_a_node_that_dies(nodes: Nodes, tmp_path: Path):
    raylets = nodes.raylets(2)
    driver = ForkedCommand([*DETECTOR, "--out", tmp_path / "m"], nodes.env).start()
    try:
        (worker,) = at_work(driver, raylets)
        victim = next(raylet for raylet in raylets if worker in raylet.children(recursive=True))
        victim.kill()
        wait_dead(victim)
        assert not (tmp_path / "m/model.json").exists(), "not killed in the middle"
        assert driver.end(300) == 0, driver.told
    finally:
        driver.kill()
    assert read_model(str(tmp_path / "m"), "detector").digest == undisturbed(DETECTOR, "detector", tmp_path / "whole")
