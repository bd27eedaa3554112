"""SIGKILL of a whole run in every stage: the same command goes on, and ends with what an undisturbed run leaves."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import DEVNULL, PIPE

import numpy as np
import psutil
import pytest

from flexpose_ray.dataset.commits import committed
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.open import open_store
from tests.chaos.kill import kill_with_all_it_started

FLEXPOSE = Path(sys.executable).with_name("flexpose")
PATIENCE_S = 200.0


class Run:
    """``flexpose pipeline`` as a process, with the lines that it told so far."""

    def __init__(self, recipe: str, storage: Path, ray_folder: str):
        command = [FLEXPOSE, "pipeline", recipe, "--storage", storage]
        env = os.environ | {"RAY_TMPDIR": ray_folder}
        self.process = psutil.Popen(command, stdout=DEVNULL, stderr=PIPE, text=True, env=env, start_new_session=True)
        self.told: list[str] = []
        self.reader = threading.Thread(target=lambda: self.told.extend(self.process.stderr), daemon=True)
        self.reader.start()

    def kill_when(self, reached: Callable[[Run], bool]) -> Run:
        """Kill the driver's process group once ``reached``, then what its Ray left running, all known by their ids."""
        deadline = time.monotonic() + PATIENCE_S
        while not reached(self):
            assert self.process.poll() is None, f"ended by itself: {self.told}"
            assert time.monotonic() < deadline, f"not reached: {self.told}"
            time.sleep(0.005)
        kill_with_all_it_started(self.process)
        self.reader.join(10)
        return self

    def end(self) -> Run:
        """Let it end by itself."""
        assert self.process.wait(PATIENCE_S) == 0, self.told
        self.reader.join(10)
        return self

    def says(self, *starts: str) -> bool:
        """Whether a line with such a start was told."""
        return any(line.startswith(starts) for line in list(self.told))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_in_every_stage_ends_as_an_undisturbed_one(
    finished_run, tiny_recipe: str, ray_folder: str, tmp_path: Path
):
    undisturbed = open_store(json.loads(finished_run.stdout)["run"])
    store = open_store(tmp_path / Path(undisturbed.uri).name)
    samples, expected = store.child("samples"), undisturbed.child("samples")

    def run() -> Run:
        return Run(tiny_recipe, tmp_path, ray_folder)

    run().kill_when(lambda run: run.says("adapt: 1 of"))
    assert store.exists("shots.parquet") and not store.exists("adapted/model.json"), "not killed while adapting"

    run().kill_when(lambda run: run.says("paper: 1 of"))
    assert store.exists("adapted/model.json")
    assert not store.exists("adapted-paper/model.json"), "not killed while adapting with the paper's setting"

    killed = run().kill_when(lambda _: len(committed(samples)) >= 3)
    before = committed(samples)
    assert 3 <= len(before) < len(committed(expected)), "not killed while generating"
    assert not samples.list("manifests/"), "readers saw a data set before it was whole"
    assert not killed.says("adapt: "), killed.told  # what is adapted stays

    killed = run().kill_when(lambda run: run.says("evaluate: "))
    assert samples.list("manifests/") and not store.exists("evaluation.json"), "not killed while evaluating"
    assert killed.says(f"generate: {sum(shard.rows for shard in before)} of 990 poses"), killed.told

    killed = run().kill_when(lambda run: run.says("report: "))
    assert store.exists("evaluation.json") and not store.exists("report.html"), "not killed while drawing the report"
    assert not killed.says("adapt: ", "paper: ", "generate: "), killed.told

    last = run().end()
    assert not last.says("adapt: ", "paper: ", "generate: "), last.told
    index = np.concatenate([shard["index"] for shard in PoseReader(samples).blocks()])
    np.testing.assert_array_equal(index, np.arange(990))
    assert verify(samples) == []
    times = ("log/", "model/model.json")  # the card says how long adaptation took
    one, other = ({k: s.get(k) for k in s.list() if not k.startswith(times)} for s in (samples, expected))
    assert one == other
    scores, expected_scores = (json.loads(s.get("evaluation.json"))["baselines"] for s in (store, undisturbed))
    assert scores == {name: pytest.approx(row) for name, row in expected_scores.items()}  # sums may round otherwise
    assert store.list() == undisturbed.list(), "something is missing, or something was left behind"
