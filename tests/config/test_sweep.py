"""Search spaces: what they mean, and that what cannot be is told before anything runs."""

from __future__ import annotations

import pytest

from flexpose_ray.config import parse
from flexpose_ray.config.sweep import Range, SweepConfig, point_text
from flexpose_ray.config.sweep_recipe import SweepRecipe, check_points, load_sweep, sweep_key, values_of
from flexpose_ray.errors import ConfigError

ADAPT = {"name": "s", "generator": "builtin:coco", "target": {"poses": "synthetic:rowing"}}
PRETRAIN = {"name": "s", "source": "synthetic:rowing", "pretrain": {"kind": "stylegan", "teacher": "none"}}


def recipe(base: dict = ADAPT, **sweep) -> SweepRecipe:
    made = parse(SweepRecipe, {**base, "sweep": sweep}, "s.yaml")
    check_points(made)
    return made


def test_a_grid_is_every_combination_once():
    sweep = recipe(space={"adapt.layers": [1, [1, 3], "w"], "target.seed": [0, 1], "adapt.bias": [True, False]}).sweep
    points = [sweep.point(trial) for trial in range(sweep.count)]
    assert len(points) == sweep.count == 12
    assert len({str(point) for point in points}) == 12
    assert points[0] == {"adapt.layers": [1], "target.seed": 0, "adapt.bias": True}
    assert points[1]["adapt.bias"] is False and points[-1]["adapt.layers"] == "w"


def test_a_random_point_depends_on_its_number_alone():
    space = {"adapt.lr": {"loguniform": [1e-4, 1e-2]}, "adapt.steps": {"randint": [5, 6]}, "adapt.mixup": [0, 10]}
    few, many = (recipe(space=space, algorithm="random", trials=trials) for trials in (20, 40))
    points = [few.sweep.point(trial) for trial in range(20)]
    assert points == [many.sweep.point(trial) for trial in range(20)]
    assert all(1e-4 <= point["adapt.lr"] <= 1e-2 for point in points)
    assert sum(point["adapt.lr"] < 1e-3 for point in points) > 4, "not spread over magnitudes"
    assert {point["adapt.steps"] for point in points} == {5, 6} and {point["adapt.mixup"] for point in points} == {
        0,
        10,
    }
    assert sweep_key(few) == sweep_key(many), "more trials have to continue the same sweep"
    other = recipe(space=space, algorithm="random", trials=20, seed=1)
    assert other.sweep.point(0) != points[0] and sweep_key(other) != sweep_key(few)


def test_a_point_becomes_a_recipe():
    made = recipe(space={"adapt.layers": [3, "all"], "target.shots_per_label": [1, 4]})
    there = made.at({"adapt.layers": [3], "target.shots_per_label": 4})
    assert there.adapt.layers == (3,) and there.target.shots_per_label == 4
    assert "sweep" not in there.plain.model_dump()
    assert values_of(made, "adapt.layers") == [[3], "all"] and values_of(made, "adapt.steps") == [200]
    assert made.at({}) == made, "a recipe has to survive JSON"
    assert point_text({"adapt.layers": [1, 3], "adapt.lr": 0.00123456}) == "layers 1+3, lr 0.001235"


def test_execution_keys_do_not_make_another_sweep():
    one, other = (recipe(space={"adapt.bias": [True, False]}, slots=slots) for slots in (1, 2))
    assert sweep_key(one) == sweep_key(other) != sweep_key(recipe(space={"adapt.bias": [False, True]}))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {}}, "sweep.space"),
        ({"space": {"adapt.lr": 3}}, "adapt.lr: give a list of values, or one of uniform"),
        ({"space": {"adapt.lr": []}}, "adapt.lr: give a list of values"),
        ({"space": {"adapt.lr": {"normal": [0, 1]}}}, "adapt.lr: one of uniform, loguniform, randint"),
        ({"space": {"adapt.lr": {"uniform": [2, 1]}}}, "adapt.lr: [2, 1]: the least must be below"),
        ({"space": {"adapt.lr": {"loguniform": [0, 1]}}}, "loguniform needs numbers above 0"),
        ({"space": {"adapt.lr": {"uniform": [0, 1]}}}, "a grid takes lists only"),
        ({"space": {"adapt.lr": [1, 1]}}, "adapt.lr lists a value twice"),
        ({"space": {"adapt.ler": [1]}}, "unknown key adapt.ler"),
        ({"space": {"adapt.lr": [0.1, -1]}}, "adapt.lr: should be greater than 0, found -1 (with lr -1)"),
        ({"space": {"adapt.layers": [0]}}, "adapt.layers.0: should be greater than or equal to 1"),
        ({"space": {"adapt.layers": ["five"]}}, "adapt.layers"),
        ({"space": {"adapt.loss": ["moment"]}}, "adapt.loss"),
        ({"space": {"adapt.lr.x": [1]}}, "adapt.lr.x is not a key of a section"),
        ({"space": {"adapt.lr": {"uniform": [-1, 1]}}, "algorithm": "optuna", "trials": 3}, "greater than 0, found -1"),
        ({"space": {"adapt.lr": {"uniform": [-9, -1]}}, "algorithm": "random", "trials": 3}, "greater than 0"),
        ({"space": {"target.poses": ["a"]}}, "target.poses cannot be swept over adapt"),
        ({"space": {"pretrain.lr": [1]}}, "pretrain.lr cannot be swept over adapt"),
        ({"algorithm": "random"}, "random needs a number of trials"),
        ({"trials": 5}, "leave trials out"),
        ({"objectives": ["fd", "fd"]}, "listed twice"),
        ({"objectives": ["speed"]}, "sweep.objectives.0"),
        ({"objectives": ["mmd2"], "scheduler": "asha"}, "make fd the first objective"),
        ({"scheduler": "pbt"}, "pbt works on a population of trainings"),
        ({"over": "pretrain"}, "adapt.steps cannot be swept over pretrain"),
        ({"over": "pretrain", "space": {"pretrain.lr": [1]}}, "needs a source"),
        ({"space": {"adapt.seed": [0, 1]}, "objectives": ["loss"]}, "objective loss: a blend alone is fitted"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(changes: dict, told: str):
    with pytest.raises(ConfigError) as error:
        recipe(**{"space": {"adapt.steps": [2, 3]}, **changes})
    assert told in str(error.value) and "\n" not in str(error.value), str(error.value)


def test_pretraining_measures_less():
    assert recipe(PRETRAIN, over="pretrain", space={"pretrain.network.base": [64, 128]}).sweep.count == 2
    with pytest.raises(ConfigError, match="pretraining does not measure coverage"):
        recipe(PRETRAIN, over="pretrain", space={"pretrain.lr": [1]}, objectives=["coverage"])
    with pytest.raises(ConfigError, match="batch 30 is not a multiple"):
        recipe(PRETRAIN, over="pretrain", space={"pretrain.batch": [32, 30]})


def test_the_shipped_sweeps_are_sound(monkeypatch):
    monkeypatch.setenv("FLEXPOSE_DATA", "/data")
    assert load_sweep("sweep_quick").sweep.count == 8
    layers = load_sweep("sweep_layers").sweep
    assert layers.count == 13 * 3 * 3
    assert [layers.space["adapt.layers"][i] for i in (0, 9, 11, 12)] == [[1], [1, 3], "all", "w"]
    assert isinstance(layers, SweepConfig) and not any(isinstance(d, Range) for d in layers.space.values())
