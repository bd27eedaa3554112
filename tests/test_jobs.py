"""Cluster jobs: every verb's script takes the verb's options; tests/clusters/test_multinode.py submits some."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from flexpose_ray.cli.parser import build_parser
from flexpose_ray.config import load_recipe, pretrain_key
from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.engine.train.run import pretrain
from flexpose_ray.storage.open import open_store
from tests import here
from tests.chaos.pretraining import RECIPE
from tests.patience import PATIENCE_S

JOBS = Path(__file__).parents[1] / "jobs"
VERBS = next(action.choices for action in build_parser()._actions if action.choices)


@pytest.mark.parametrize("job", sorted(JOBS.glob("*.py")), ids=lambda job: job.stem)
def test_a_job_is_its_verb(job: Path):
    ended = subprocess.run([sys.executable, job, "--help"], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith(f"usage: flexpose {job.stem} ")
    assert "--address" in ended.stdout
    text = job.read_text()
    assert f"python jobs/{job.name}" in text and len(text.splitlines()) <= 30


def test_all_work_that_clusters_are_for_has_a_job():
    names = {job.stem for job in JOBS.glob("*.py")}
    work = {"prepare", "pretrain", "adapt", "sweep", "generate", "benchmark", "pipeline"}
    assert work <= names <= set(VERBS)


@pytest.fixture(scope="module")
def training(tmp_path_factory) -> Path:
    """A folder with the recipe of a training that by itself would write its first checkpoint after a minute."""
    folder, rare = tmp_path_factory.mktemp("training"), {"kimg": 100, "eval_kimg": 100}
    (folder / "tiny.yaml").write_text(yaml.safe_dump({**RECIPE, "pretrain": {**RECIPE["pretrain"], **rare}}))
    return folder


@pytest.fixture
def left(training: Path, joins_ray: dict[str, str]) -> list[float]:
    """The kimg of the rows that two workers left after a SIGTERM to jobs/pretrain.py, once it told its speed."""
    job = [JOBS / "pretrain.py", training / "tiny.yaml", "--storage", training / "runs"]
    command = [sys.executable, *job, "--set", "pretrain.workers=2"]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | joins_ray)
    try:
        told = next((line for line in job.stderr if "kimg/s" in line), "no training")
        job.terminate()
        told += job.communicate(timeout=PATIENCE_S)[1]
    finally:
        job.kill()
    assert job.returncode == 143, told
    assert told.endswith("flexpose pretrain: stopped by SIGTERM; the same command continues from here\n")
    assert "Traceback" not in told
    run = open_store(training / "runs").child(pretrain_key(load_recipe(str(training / "tiny.yaml"))))
    return [row["kimg"] for row in last_checkpoint(run).history]


@pytest.mark.slow
def test_sigterm_makes_a_training_write_a_checkpoint_that_other_workers_go_on_from(left: list[float], training: Path):
    assert len(left) > 1, "the first row was reported when it was stopped"
    recipe = load_recipe(str(training / "tiny.yaml"), [f"pretrain.kimg={left[-1] + 0.16}"])
    with here.without_ray():
        after = [row["kimg"] for row in pretrain(recipe, str(training / "runs"))["history"]]
    assert after[: len(left)] == left and len(after) > len(left)
