"""SIGKILL of a worker and of the driver amid many adaptations: nothing finished is lost, all ends as undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from flexpose_ray.config import AdaptConfig
from flexpose_ray.engine.adapt.many import TABLE
from flexpose_ray.engine.adapt.one import adapt
from flexpose_ray.models.weights import read_model
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.sources.pose_file import read_poses, write_poses
from tests.chaos.kill import at_work, kill_driver, wait_until
from tests.forked import ForkedCommand

pytestmark = pytest.mark.slow
COUNT = 4
CONFIG = AdaptConfig(layers="w", blend=False, steps=150, batch=8, mixup=10)
TASK = "ray::_adapt_target"


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
    folder = tmp_path_factory.mktemp("alone")
    files = sorted(sets.iterdir())
    return {f.stem: adapt(tiny_generator, read_poses(f), CONFIG, str(folder / f.stem))["digest"] for f in files}


def adapting(generator: str, sets: Path, out: Path, env: dict[str, str]) -> ForkedCommand:
    words = ["adapt", "--generator", generator, "--shots-each", sets, "--out", out, "--workers", "2"]
    settings = {key: value for key, value in CONFIG.model_dump(mode="json").items() if key in CONFIG.model_fields_set}
    return ForkedCommand(
        [*words, *(word for key, value in settings.items() for word in ("--set", f"adapt.{key}={value}"))], env
    )


def finished(out: Path) -> dict[str, bytes]:
    """The heads of the models that are there."""
    return {file.parent.name: file.read_bytes() for file in out.glob("*/model.json")}


def under_way(out: Path) -> set[str]:
    """The targets whose adaptation has begun: their make.json is there, and no model yet."""
    return {file.parent.name for file in out.glob("*/make.json")} - finished(out).keys()


def assert_whole(out: Path, expected: dict[str, str]) -> None:
    assert {name: read_model(str(out / name), "adapted").digest for name in finished(out)} == expected
    assert (out / TABLE).is_file()
    for folder in (out / name for name in expected):
        assert len(list(folder.iterdir())) == 3, "something was left behind"


def test_a_killed_worker_costs_its_own_target_a_second_try(sets, expected, tiny_generator, joins_ray, tmp_path):
    driver = adapting(tiny_generator, sets, tmp_path, joins_ray).start()
    wait_until(lambda: under_way(tmp_path), driver)
    wait_until(lambda: at_work(TASK), driver)[0].kill()
    assert len(finished(tmp_path)) < COUNT, "not killed amid the adaptations"
    assert driver.end(200) == 0, driver.told
    assert_whole(tmp_path, expected)


def test_a_killed_driver_loses_nothing_finished(sets, expected, tiny_generator, joins_ray, tmp_path):
    driver = adapting(tiny_generator, sets, tmp_path, joins_ray).start()
    wait_until(lambda: finished(tmp_path), driver)
    kill_driver(driver, TASK)
    kept = finished(tmp_path)
    assert 0 < len(kept) < COUNT, "not killed amid the adaptations"
    assert not (tmp_path / TABLE).exists()

    assert driver.start().end(200) == 0, driver.told
    assert finished(tmp_path).items() >= kept.items(), "what was finished was done again"
    assert_whole(tmp_path, expected)
