"""SIGKILL of a whole run in every stage: the same command goes on, and ends with what an undisturbed run leaves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flexpose_ray.dataset.commits import committed
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.verify import verify
from flexpose_ray.storage.open import open_store
from tests.chaos.kill import kill_driver, wait_until
from tests.forked import ForkedCommand


class Run:
    """``flexpose pipeline`` as a process that joins the tests' Ray; the last of its calls."""

    def __init__(self, recipe: str, storage: Path, joins_ray: dict[str, str]):
        self.command = ForkedCommand(["pipeline", recipe, "--storage", storage], joins_ray)

    def kill_when(self, reached: Callable[[Run], bool]) -> None:
        """Start it and kill it once ``reached``."""
        self.command.start()
        wait_until(lambda: reached(self), self.command)
        kill_driver(self.command, "MapWorker")

    def says(self, *starts: str) -> bool:
        """Whether a line with such a start was told."""
        return any(line.startswith(starts) for line in self.command.told.splitlines())


@pytest.mark.slow
def test_a_run_killed_in_every_stage_ends_as_an_undisturbed_one(
    finished_run, tiny_recipe: str, joins_ray: dict[str, str], tmp_path: Path
):
    undisturbed = open_store(json.loads(finished_run.stdout)["run"])
    store = open_store(tmp_path / Path(undisturbed.uri).name)
    samples, expected = store.child("samples"), undisturbed.child("samples")

    run = Run(tiny_recipe, tmp_path, joins_ray)
    run.kill_when(lambda run: run.says("adapt: 1 of"))
    assert store.exists("shots.parquet") and not store.exists("adapted/model.json"), "not killed while adapting"

    run.kill_when(lambda run: run.says("paper: 1 of"))
    assert store.exists("adapted/model.json")
    assert not store.exists("adapted-paper/model.json"), "not killed while adapting with the paper's setting"

    run.kill_when(lambda _: len(committed(samples)) >= 3)
    before = committed(samples)
    assert 3 <= len(before) < len(committed(expected)), "not killed while generating"
    assert not samples.list("manifests/"), "readers saw a data set before it was whole"
    assert not run.says("adapt: "), run.command.told  # what is adapted stays

    run.kill_when(lambda run: run.says("evaluate: "))
    assert samples.list("manifests/") and not store.exists("evaluation.json"), "not killed while evaluating"
    assert run.says(f"generate: {sum(shard.rows for shard in before)} of 990 poses"), run.command.told

    run.kill_when(lambda run: run.says("report: "))
    assert store.exists("evaluation.json") and not store.exists("report.html"), "not killed while drawing the report"
    assert not run.says("adapt: ", "paper: ", "generate: "), run.command.told

    assert run.command.start().end(200) == 0, run.command.told
    assert not run.says("adapt: ", "paper: ", "generate: "), run.command.told
    index = np.concatenate([shard["index"] for shard in PoseReader(samples).blocks()])
    np.testing.assert_array_equal(index, np.arange(990))
    assert verify(samples) == []
    times = ("log/", "model/model.json")  # the card says how long adaptation took
    one, other = ({k: s.get(k) for k in s.list() if not k.startswith(times)} for s in (samples, expected))
    assert one == other
    scores, expected_scores = (json.loads(s.get("evaluation.json"))["baselines"] for s in (store, undisturbed))
    assert scores == {name: pytest.approx(row) for name, row in expected_scores.items()}  # sums may round otherwise
    assert store.list() == undisturbed.list(), "something is missing, or something was left behind"
