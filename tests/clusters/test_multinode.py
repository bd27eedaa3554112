"""Jobs on several nodes of one machine: each loses a node in the middle and ends well, and no secret leaks."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import boto3
import psutil
import pytest
import yaml

from flexpose_ray.config import load_recipe, pretrain_key
from flexpose_ray.config.sweep_recipe import load_sweep, sweep_key
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.dataset.verify import verify
from flexpose_ray.engine.sweep.results import ended_trials, read_rows
from flexpose_ray.engine.train.checkpoint import PREFIX, last_checkpoint
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.chaos.pretraining import RECIPE, numbers, workers_among
from tests.clusters.checks import ROOT
from tests.clusters.multinode import TOKEN, Multinode, holders
from tests.engine.sweep.sweeps import small_sweep
from tests.patience import PATIENCE_S

BIN = Path(sys.executable).parent
CANARY = "canary0secret0of0the0environment"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("multinode")]


@pytest.fixture(scope="module")
def cluster(s3_server: str, tmp_path_factory) -> Iterator[Multinode]:
    """The canary is a secret that nodes and the person who submits really use."""
    env = {"AWS_SECRET_ACCESS_KEY": CANARY, "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "60"}
    with tempfile.TemporaryDirectory(prefix="fx-", dir="/tmp", ignore_cleanup_errors=True) as folder:
        cluster = Multinode(Path(folder), env)
        try:
            yield cluster
        finally:
            cluster.end()


def lose_a_node(cluster: Multinode, job, begun: Callable[[], bool], busy: str) -> str:
    """SIGKILL the raylet of a node that is at work once ``begun``; returns what the job told until its end."""
    deadline = time.monotonic() + PATIENCE_S
    while not begun():
        assert job.poll() is None, job.stdout.read()
        assert time.monotonic() < deadline, "the job did not begin"
        time.sleep(0.05)
    victim = next(raylet for raylet in cluster.raylets() if works(raylet, busy))
    victim.kill()
    told, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode == 0, told
    return told


def works(raylet: psutil.Process, busy: str) -> bool:
    for process in raylet.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if busy in " ".join(process.cmdline()):
                return True
    return False


@pytest.fixture(scope="module")
def store(s3_server: str) -> Store:
    boto3.client("s3").create_bucket(Bucket="multinode")
    return open_store("s3://multinode/work")


@pytest.fixture(scope="module")
def trained(cluster: Multinode, store: Store, tmp_path_factory) -> tuple[str, list[int], list[dict]]:
    """`flexpose submit pretrain` over two nodes of which one is lost.

    What it told, how many workers each node had then, and the run's history.
    """
    project = tmp_path_factory.mktemp("project")
    recipe = {**RECIPE, "pretrain": {**RECIPE["pretrain"], "workers": [1, 2]}}
    (project / "tiny.yaml").write_text(yaml.safe_dump(recipe))
    cluster.wait(nodes=2)
    command = [str(BIN / "flexpose"), "submit", "pretrain", "tiny.yaml", "--storage", store.uri]
    job = cluster.submit([*command, "--cluster", cluster.address], project)
    run = store.child(pretrain_key(load_recipe(str(project / "tiny.yaml"))))
    counts = []

    def begun() -> bool:
        if not run.list(PREFIX):
            return False
        counts.extend(len(workers_among(raylet.children(recursive=True))) for raylet in cluster.raylets())
        assert last_checkpoint(run).history[-1]["kimg"] < 0.8, "too late for what is compared"
        return True

    told = lose_a_node(cluster, job, begun, "RayTrainWorker")
    return told, counts, last_checkpoint(run).history


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A folder of one's own with a copy of the jobs, as their users have it."""
    return Path(shutil.copytree(ROOT / "jobs", tmp_path_factory.mktemp("project") / "jobs")).parent


def generate_job(cluster: Multinode, store: Store, generator: str, *options: str) -> list[str]:
    """`ray job submit` of jobs/generate.py from the project's folder."""
    job = ["python", "jobs/generate.py", "--generator", generator, "--out", f"{store.uri}/data", *options]
    return [str(BIN / "ray"), "job", "submit", "--address", cluster.address, "--working-dir", ".", "--", *job]


@pytest.fixture(scope="module")
def generated(cluster: Multinode, store: Store, project: Path, trained, tiny_generator: str) -> str:
    """What `ray job submit` of jobs/generate.py told; the lost node has been replaced, and one is lost again."""
    cluster.wait(nodes=2)
    options = ["--count", "1500", "--actors", "2", "--set", "generate.shard_size=20", "--json"]
    running = cluster.submit(generate_job(cluster, store, tiny_generator, *options), project)
    data = store.child("data")
    return lose_a_node(cluster, running, lambda: len(data.list("commits/")) >= 3, "MapWorker")


@pytest.fixture(scope="module")
def swept(cluster: Multinode, store: Store, generated: str, tiny_generator: str, tmp_path_factory) -> str:
    """What `ray job submit` of jobs/sweep.py told; a node with a trial on it is lost after the third of twelve trials.

    By its path and without a working folder: nodes of one machine share the copies of it, and one that dies takes them.
    """
    project = tmp_path_factory.mktemp("sweep")
    trials = {"space": {"adapt.lr": [1e-3, 3e-3, 1e-2], "target.seed": [0, 1, 2, 3]}}
    recipe = small_sweep(tiny_generator, **trials).model_dump(mode="json", exclude_defaults=True)
    recipe["adapt"]["steps"] = 40
    (project / "small.yaml").write_text(yaml.safe_dump(recipe))
    sweep = store.child(sweep_key(load_sweep(str(project / "small.yaml"))))
    cluster.wait(nodes=2)
    job = ["python", str(ROOT / "jobs" / "sweep.py"), str(project / "small.yaml"), "--storage", store.uri]
    command = [str(BIN / "ray"), "job", "submit", "--address", cluster.address, "--", *job]
    running = cluster.submit(command, project)
    return lose_a_node(cluster, running, lambda: len(ended_trials(sweep)) >= 3, "ImplicitFunc")


def test_the_script_brings_up_a_head_and_two_nodes(cluster: Multinode):
    assert len(cluster.wait(nodes=2)) == 2
    assert "ray_version" in cluster.ask("/api/version")


def test_a_pretraining_outlives_a_node(trained: tuple[str, list[int], list[dict]]):
    told, _, history = trained
    assert "it keeps running when this command ends" in told and "ray job stop" in told
    assert "FD " in told and "succeeded" in told
    assert history[-1]["kimg"] == pytest.approx(RECIPE["pretrain"]["kimg"])


def test_an_elastic_run_goes_on_with_the_workers_that_are_left(trained, undisturbed_training: dict):
    """As one that nothing disturbs, over fifty steps; then rounding, which training makes grow, is more than 1e-3."""
    _, counts, history = trained
    assert counts == [1, 1]
    ours, theirs = numbers({"history": history}), numbers(undisturbed_training)
    assert [row["kimg"] for row in ours] == [row["kimg"] for row in theirs]
    for our, their in zip(ours[:10], theirs[:10], strict=True):
        assert our == pytest.approx(their, rel=1e-3, abs=1e-3)


def test_a_generation_outlives_a_node(generated: str, store: Store):
    data = store.child("data")
    assert read_manifest(data).count == 1500
    assert verify(data) == []
    made = next(json.loads(line) for line in generated.splitlines() if line.startswith("{"))
    assert made["count"] == 1500 and made["rendered"] == 1500


def test_a_job_of_bad_input_fails_in_one_line(cluster: Multinode, store: Store, project: Path, tiny_generator: str):
    job = cluster.submit(generate_job(cluster, store, tiny_generator, "--count", "0"), project)
    told, _ = job.communicate(timeout=PATIENCE_S)
    assert job.returncode != 0
    assert "flexpose generate: generate options: count: should be" in told
    assert "Traceback" not in told


def test_a_sweep_outlives_a_node(swept: str, store: Store):
    (sweep,) = {key.split("/")[0] for key in store.list("sweep-")}
    rows = read_rows(store.child(sweep))
    assert [row["trial"] for row in rows] == list(range(12))
    assert {row["status"] for row in rows} == {"done"}, [row["error"] for row in rows]
    assert "succeeded" in swept


def test_no_secret_is_in_any_log_job_or_object(
    cluster: Multinode, store: Store, trained: tuple, generated: str, swept: str
):
    told = trained[0] + generated + swept + cluster.ask("/api/jobs/")
    objects = {key: store.get(key) for key in store.list()}
    assert len(objects) > 10 and "submission_id" in told
    for secret in (CANARY, TOKEN):
        assert secret not in told
        assert [key for key, data in objects.items() if secret.encode() in data] == []
        assert [path for path in holders(cluster.folder, secret) if path != str(cluster.folder / "token")] == []


def test_the_search_for_secrets_finds_one(tmp_path: Path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "log.txt").write_text(f"key={CANARY}\n")
    assert holders(tmp_path, CANARY) == [str(tmp_path / "a" / "log.txt")]
