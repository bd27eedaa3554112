"""The plan of a pretraining: counted where it can be counted, probed otherwise."""

import pytest

from flexpose_ray.config import Recipe, parse, pretrain_key
from flexpose_ray.engine.train.plan import format_plan, plan
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator


def recipe(**changes) -> Recipe:
    pretrain = {
        "kind": "stylegan", "teacher": "none",
        "alpha": {"size": 32}, "network": {"z_size": 16, "w_size": 16, "depth": 2, "base": 128, "most": 8},
        "beta": {"width": 4, "steps": 20, "batch": 16},
        "kimg": 100, "eval_kimg": 25, "eval_samples": 64, "batch": 16, "bf16": False, "threads": 1,
    }  # fmt: skip
    recipe = {"name": "tiny", "source": "synthetic:rowing?count=300", "pretrain": pretrain | changes}
    return parse(Recipe, recipe, "test")


@pytest.fixture(scope="module")
def found() -> dict:
    return plan(recipe(), price_per_hour=2.0)


def test_networks_are_counted(found):
    generator = Generator(32, z_size=16, w_size=16, depth=2, base=128, most=8)
    assert found["parameters"]["generator"] == sum(p.numel() for p in generator.parameters())
    discriminator = Discriminator(32, base=128, most=8)
    assert found["parameters"]["discriminator"] == sum(p.numel() for p in discriminator.parameters())
    assert found["run"] == pretrain_key(recipe())
    assert found["poses"] == 300


def test_time_and_cost_follow_from_the_speed(found):
    assert found["hours"]["training"] == pytest.approx(100 / found["kimg_per_hour"])
    assert found["kimg_per_hour"] == pytest.approx(16 / 1000 / found["step_seconds"] * 3600)
    assert found["hours"]["total"] == pytest.approx(sum(found["hours"][k] for k in ("beta", "training", "evaluation")))
    assert found["cost"] == pytest.approx(2 * found["hours"]["total"])


def test_training_on_an_image_takes_some_times_its_sampling(found):
    flops = found["flops_per_image"]
    assert 3 * flops["sampling"] < flops["training"] < 100 * flops["sampling"]


def test_memory_holds_what_is_known_and_grows_with_the_batch(found):
    numbers = sum(found["parameters"].values())
    assert found["memory_bytes"] > 4 * numbers
    larger = plan(recipe(batch=32))
    assert 1.6 < larger["memory_bytes"] / found["memory_bytes"] < 2.1
    assert "cost" not in larger


@pytest.mark.slow
def test_a_worker_is_probed_with_its_share():
    shared = plan(recipe(batch=32, workers=[1, 2]))
    assert (shared["workers"], shared["batch"]) == (2, 16)
    assert shared["run"] == plan(recipe(batch=32))["run"]


def test_it_is_told_in_lines(found):
    lines = format_plan(found).splitlines()
    assert lines[0] == f"run                {found['run']}"
    assert any(line.startswith("time for 100 kimg") for line in lines)
    assert lines[-1].split() == ["cost", f"{found['cost']:.2f}"]
