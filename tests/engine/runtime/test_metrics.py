"""What Prometheus reads at a node's metrics port is what was done; without such a port nothing happens."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections import defaultdict

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flexpose_ray.engine.runtime.metrics import METRICS, TASKS
from tests.patience import PATIENCE_S

# A Ray of its own: others count in one that is shared. Counts come to the port when the actors end.
EXPORTS = """
import json, sys, time, urllib.request
import ray
from flexpose_ray.engine.runtime import metrics
from flexpose_ray.config import GateConfig, GenerateConfig
from flexpose_ray.engine.generate.run import generate
from flexpose_ray.engine.runtime.tasks import run_tasks

def costs(n):
    began = time.perf_counter()
    for _ in range(n):
        metrics.QUEUE_WAIT.record(0.5, stage="cost")
        metrics.record_work("cost", 0.5)
        with metrics.working("cost"):
            pass
    return (time.perf_counter() - began) / n

def train():
    for kimg in (1, 2.5):
        metrics.KIMG.record(kimg, run="tiny")

model, out, port = sys.argv[1:]
ray.init(
    address="local", num_cpus=4, include_dashboard=False, object_store_memory=100_000_000, log_to_driver=False,
    _metrics_export_port=int(port), _system_config={"metrics_report_interval_ms": 500},
)
config = GenerateConfig(
    count=250, seed=5, shard_size=40, batch=16, actors=1, images="png", gate=GateConfig(mode="warn", confidence=1)
)
told = generate(model, out, config, lambda *at: None)
ray.get(ray.remote(train).remote())
jobs = [(name, (500,)) for name in "abc"]
cost_s = min(ray.get(reference) for _, reference in run_tasks(costs, jobs, 1))
page = ""
for _ in range(100):
    time.sleep(0.2)
    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    tasks = sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith("ray_flexpose_tasks_total{"))
    if tasks >= len(jobs) and 'run="tiny"' in page:
        break
print(json.dumps({"told": told, "cost_s": cost_s, "page": page}))
"""

NOWHERE = """
import time
import ray
from flexpose_ray.engine.runtime import metrics

def record():
    metrics.record_shard({"rows": 40, "rejects": {"confidence": 3}})
    metrics.record_work("sample", 1.0, "cuda")
    metrics.QUEUE_WAIT.record(0.1, stage="sample")
    metrics.KIMG.record(1, run="tiny")

record()
assert not ray.is_initialized() and not any("_of_ray" in vars(metric) for metric in metrics.METRICS)
"""

NO_AGENT = """
class Sampler:
    def work(self):
        record()
        seen = {}
        metrics.Metric.record = lambda metric, value, **tags: seen.update({metric.name: value})
        metrics.record_work("sample", 8.0, "cuda")
        return seen

ray.init(address="local", num_cpus=1, num_gpus=1, include_dashboard=False, object_store_memory=100_000_000,
         _system_config={"enable_metrics_collection": False}, logging_level="error")
assert ray.nodes()[0]["MetricsExportPort"] == -1
record()
told = ray.get(ray.remote(num_gpus=0.25)(Sampler).remote().work.remote())
assert told == {"flexpose_busy_seconds_total": 8, "flexpose_gpu_seconds_total": 2}, told
ray.shutdown()
record()
"""


def run(script: str, folder: str, *arguments: str) -> subprocess.CompletedProcess:
    env = {k: v for k, v in os.environ.items() if k not in ("RAY_ADDRESS", "RAY_BACKEND_LOG_LEVEL")}
    env |= {"RAY_TMPDIR": folder, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=PATIENCE_S)


@pytest.fixture(scope="module")
def exported(tiny_generator: str, ray_folder: str, tmp_path_factory) -> dict:
    """What was done, and every time series of ours as name -> labels of ours -> value, summed over workers."""
    port = unused_port()
    done = run(EXPORTS, ray_folder, tiny_generator, str(tmp_path_factory.mktemp("out")), str(port))
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    own = {tag for metric in METRICS for tag in metric.tags} | {"le"}
    series = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(result["page"]):
        for name, labels, value, *_ in family.samples:
            if name.startswith("ray_flexpose"):
                series[name][frozenset((k, v) for k, v in labels.items() if k in own)] += value
    return result | {"series": series}


def unused_port() -> int:
    """A free port below those that Ray gives to workers."""
    for port in random.Random(os.getpid()).sample(range(9100, 10_000), 900):  # others look for one too
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)):
                return port
    raise AssertionError("no free port")


def of(**labels: str) -> frozenset:
    return frozenset(labels.items())


@pytest.mark.slow
def test_a_data_set_is_counted_to_the_pose(exported: dict):
    told, series = exported["told"], exported["series"]
    assert told["rendered"] == 250 and told["rejects"] == {"confidence": 250}
    assert series["ray_flexpose_poses_total"] == {of(): 250}
    assert series["ray_flexpose_shards_committed_total"] == {of(): 7}
    assert series["ray_flexpose_rejects_total"] == {of(reason="confidence"): 250}


@pytest.mark.slow
def test_waits_and_work_are_told_by_stage(exported: dict):
    series = exported["series"]
    waits = series["ray_flexpose_queue_wait_seconds_count"]
    assert waits[of(stage="sample")] == waits[of(stage="draw")] == 7, "a wait a shard and actor"
    busy = series["ray_flexpose_busy_seconds_total"]
    for stage in ("sample", "draw", "commit"):
        assert 0 < busy[of(stage=stage, device="cpu")] < 2 * exported["told"]["seconds"]
    assert "ray_flexpose_gpu_seconds_total" not in series, "there is no GPU at work"


@pytest.mark.slow
def test_tasks_and_training_are_told(exported: dict):
    assert exported["series"]["ray_flexpose_tasks_total"] == {of(kind="costs"): 3}
    assert exported["series"]["ray_flexpose_kimg"] == {of(run="tiny"): 2.5}


@pytest.mark.slow
def test_every_name_is_the_one_that_is_declared(exported: dict):
    assert set(exported["series"]) <= {name for metric in METRICS for name in metric.exported}


@pytest.mark.slow
def test_counting_costs_nothing_beside_a_shard(exported: dict):
    assert exported["cost_s"] < 5e-4, "a shard takes seconds"


def test_outside_ray_nothing_happens(ray_folder: str):
    done = run(NOWHERE, ray_folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_where_ray_collects_no_metrics_nothing_happens(ray_folder: str):
    """And a worker's seconds on a GPU count by its share of it."""
    done = run(NOWHERE + NO_AGENT, ray_folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("tags", [{}, {"kind": "x", "run": "y"}, {"king": "x"}])
def test_wrong_tags_are_an_error_without_ray_too(tags: dict):
    with pytest.raises(ValueError, match="flexpose_tasks_total takes tags"):
        TASKS.record(1, **tags)


def test_names_and_tags_follow_prometheus():
    assert len({metric.name for metric in METRICS}) == len(METRICS)
    for metric in METRICS:
        assert metric.name.startswith("flexpose_") and metric.help.endswith(".") and metric.unit
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.bounds) == (metric.kind == "histogram")
