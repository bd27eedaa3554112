"""SIGKILL of a worker and of the driver amid many adaptations: nothing finished is lost, all ends as undisturbed."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import torch

from flexpose_ray.config import AdaptConfig
from flexpose_ray.engine.adapt.many import TABLE
from flexpose_ray.engine.adapt.one import adapt
from flexpose_ray.models.weights import read_model
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.pose_file import read_poses, write_poses
from tests.chaos.kill import kill_with_all_it_started

COUNT, STEPS, PATIENCE_S = 4, 150, 180.0
CONFIG = AdaptConfig(layers="w", blend=False, steps=STEPS, batch=8, mixup=10)
DRIVER = """
import json, sys
from flexpose_ray.config import AdaptConfig
from flexpose_ray.engine.adapt.many import adapt_many, read_targets
generator, sets, out, config = sys.argv[1:]
config = AdaptConfig.model_validate_json(config)
rows = adapt_many(generator, read_targets(sets), config, out, workers=2, on_progress=lambda *_: None)
sys.exit(json.dumps([row["error"] for row in rows if row["error"]]) if any(row["error"] for row in rows) else 0)
"""


@pytest.fixture(scope="module")
def sets(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    poses_NJ2 = sample_synthetic(f"rowing?count={4 * COUNT}").keypoints_NJ2
    for k in range(COUNT):
        write_poses(folder / f"rower-{k}.parquet", PoseSet(poses_NJ2[4 * k : 4 * k + 4]))
    return folder


@pytest.fixture(scope="module")
def expected(sets: Path, tiny_generator: str, tmp_path_factory) -> dict[str, str]:
    """Digests of single, undisturbed adaptations."""
    threads, folder = torch.get_num_threads(), tmp_path_factory.mktemp("alone")
    torch.set_num_threads(1)
    files = sorted(sets.iterdir())
    digests = {f.stem: adapt(tiny_generator, read_poses(f), CONFIG, str(folder / f.stem))["digest"] for f in files}
    torch.set_num_threads(threads)
    return digests


def start(generator: str, sets: Path, out: Path, ray_folder: str) -> psutil.Popen:
    command = [sys.executable, "-c", DRIVER, generator, str(sets), str(out), CONFIG.model_dump_json()]
    env = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | {"RAY_TMPDIR": ray_folder}
    return psutil.Popen(command, env=env, start_new_session=True)


def finished(out: Path) -> dict[str, bytes]:
    """The heads of the models that are there."""
    return {file.parent.name: file.read_bytes() for file in out.glob("*/model.json")}


def under_way(out: Path) -> set[str]:
    """The targets whose adaptation has begun: their make.json is there, and no model yet."""
    return {file.parent.name for file in out.glob("*/make.json")} - finished(out).keys()


def wait_until(reached: Callable[[], object], driver: psutil.Popen):
    deadline = time.monotonic() + PATIENCE_S
    while not (found := reached()):
        assert driver.poll() is None, "ended by itself"
        assert time.monotonic() < deadline, "not reached"
        time.sleep(0.01)
    return found


def busy_workers(driver: psutil.Popen) -> list[psutil.Process]:
    """Worker processes that adapt right now."""
    return [p for p in driver.children(recursive=True) if "ray::_adapt_target" in " ".join(p.cmdline())]


def assert_whole(out: Path, expected: dict[str, str]) -> None:
    assert {name: read_model(str(out / name), "adapted").digest for name in finished(out)} == expected
    assert (out / TABLE).is_file()
    for folder in (out / name for name in expected):
        assert len(list(folder.iterdir())) == 3, "something was left behind"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_killed_worker_costs_its_own_target_a_second_try(sets, expected, tiny_generator, ray_folder, tmp_path):
    driver = start(tiny_generator, sets, tmp_path, ray_folder)
    wait_until(lambda: under_way(tmp_path), driver)
    wait_until(lambda: busy_workers(driver), driver)[0].kill()
    assert len(finished(tmp_path)) < COUNT, "not killed amid the adaptations"
    assert driver.wait(PATIENCE_S) == 0
    assert_whole(tmp_path, expected)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_driver_loses_nothing_finished(sets, expected, tiny_generator, ray_folder, tmp_path):
    driver = start(tiny_generator, sets, tmp_path, ray_folder)
    wait_until(lambda: finished(tmp_path), driver)
    kill_with_all_it_started(driver)
    kept = finished(tmp_path)
    assert 0 < len(kept) < COUNT, "not killed amid the adaptations"
    assert not (tmp_path / TABLE).exists()

    assert start(tiny_generator, sets, tmp_path, ray_folder).wait(PATIENCE_S) == 0
    assert finished(tmp_path).items() >= kept.items(), "what was finished was done again"
    assert_whole(tmp_path, expected)
