"""A detector's command that is stopped, and one that is killed with its worker, goes on when repeated."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import pytest

from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.models.detectors import load_detector
from flexpose_ray.storage.open import open_store
from tests.chaos.kill import wait_until
from tests.chaos.pretraining import workers_among
from tests.forked import ForkedCommand

pytestmark = pytest.mark.slow

COMMAND = [
    "detect", "train", "--pictures", "synthetic:studio?count=48&backdrop=no", "--prior", "synthetic:studio?count=100",
    *(f"--set={text}" for text in ("size=32", "width=8", "batch=4", "prepare_steps=300", "steps=400")),
]  # fmt: skip
LAST = 700


def test_a_detector_s_training_goes_on_after_a_stop_and_a_kill(joins_ray: dict[str, str], tmp_path: Path):
    command, store = [*COMMAND, "--out", tmp_path / "m"], open_store(str(tmp_path / "m/training"))

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
    wait_until(lambda: "kimg/s" in driver.told, driver)
    workers = workers_among(psutil.Process().children(recursive=True))
    for worker in workers:
        worker.kill()
    driver.kill()
    assert len(workers) == 1 and not (tmp_path / "m/model.json").exists() and stopped <= step() < LAST

    driver = ForkedCommand(command, joins_ray).start()
    wait_until(lambda: "kimg/s" in driver.told, driver)
    for worker in workers_among(psutil.Process().children(recursive=True)):
        worker.kill()  # Ray Train starts another
    assert driver.end(600) == 0, driver.told
    assert load_detector(str(tmp_path / "m")).card["poses"] == 100
    assert not store.list()
