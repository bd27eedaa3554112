"""Cluster jobs: every verb's script takes the verb's options, and one of them runs through ``ray job submit``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from flexpose_ray.cli.parser import build_parser
from flexpose_ray.config import load_recipe, pretrain_key
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.storage.open import open_store
from tests.chaos.pretraining import RECIPE
from tests.clusters.multinode import free_ports

JOBS = Path(__file__).parents[1] / "jobs"
BIN = Path(sys.executable).parent
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


def train_and_terminate(training: Path, workers: int, ray_folder: str) -> list[float]:
    """SIGTERM to jobs/pretrain.py once it told its speed; returns the kimg of the rows that are left."""
    job = [JOBS / "pretrain.py", training / "tiny.yaml", "--storage", training / "runs"]
    command = [sys.executable, *job, "--set", f"pretrain.workers={workers}"]
    job = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"RAY_TMPDIR": ray_folder})
    try:
        told = next((line for line in job.stderr if "kimg/s" in line), "no training")
        job.terminate()
        told += job.communicate(timeout=60)[1]
    finally:
        job.kill()
    assert job.returncode == 143, told
    assert told.endswith("flexpose pretrain: stopped by SIGTERM; the same command continues from here\n")
    assert "Traceback" not in told
    run = open_store(training / "runs").child(pretrain_key(load_recipe(str(training / "tiny.yaml"))))
    return [row["kimg"] for row in last_checkpoint(run).history]


@pytest.fixture(scope="module")
def left(training: Path, ray_folder: str) -> list[float]:
    """The kimg of the rows that two workers left at SIGTERM."""
    return train_and_terminate(training, 2, ray_folder)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_sigterm_makes_a_training_write_a_checkpoint_and_leave(left: list[float]):
    assert len(left) > 1, "the first row was reported when it was stopped"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_training_that_left_goes_on_with_other_workers(training: Path, left: list[float], ray_folder: str):
    after = train_and_terminate(training, 1, ray_folder)
    assert after[: len(left)] == left and len(after) > len(left)


@pytest.fixture
def head(ray_folder: str) -> Iterator[tuple[str, dict[str, str]]]:
    """A cluster of one node: the address that takes jobs, and the environment of those who may talk to it."""
    port, dashboard, client, agent = free_ports(4)
    token = Path(ray_folder, "token")
    token.write_text("0" * 32)
    token.chmod(0o600)
    env = os.environ | {
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "RAY_TMPDIR": ray_folder,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9",
    }
    command = [
        BIN / "ray", "start", "--head", "--block", "--num-cpus=4", "--object-store-memory=200000000",
        "--node-ip-address=127.0.0.1", f"--port={port}", f"--dashboard-port={dashboard}",
        f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}",
    ]  # fmt: skip
    node = psutil.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{dashboard}"
    try:
        request = urllib.request.Request(f"{address}/api/version", headers={"Authorization": f"Bearer {'0' * 32}"})
        for _ in range(600):
            try:
                urllib.request.urlopen(request, timeout=5).close()
                break
            except OSError:
                assert node.poll() is None, "the head node ended by itself"
                time.sleep(0.2)
        yield address, env
    finally:
        started = node.children(recursive=True)
        for process in [node, *started]:
            if process.is_running():
                process.kill()
        psutil.wait_procs([node, *started], timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_job_runs_on_a_cluster(head: tuple[str, dict[str, str]], tiny_generator: str, tmp_path: Path):
    address, env = head
    shutil.copytree(JOBS, tmp_path / "project" / "jobs")

    def submit(*options: str) -> subprocess.CompletedProcess:
        job = ["python", "jobs/generate.py", "--generator", tiny_generator, "--out", str(tmp_path / "data"), *options]
        command = [BIN / "ray", "job", "submit", "--address", address, "--working-dir", ".", "--", *job]
        return subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path / "project")

    ended = submit("--count", "90", "--set", "generate.shard_size=25", "--json")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    made = next(json.loads(line) for line in ended.stdout.splitlines() if line.startswith("{"))
    assert made["rendered"] == 90
    assert read_manifest(open_store(tmp_path / "data")).count == 90

    refused = submit("--count", "0")
    assert refused.returncode != 0
    assert "flexpose generate: generate options: count: should be" in refused.stdout
    assert "Traceback" not in refused.stdout
