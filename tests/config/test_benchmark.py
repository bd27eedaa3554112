"""The recipe of a benchmark: rows in every form, settings checked against their method, one line for every fault."""

from __future__ import annotations

import pytest
import yaml

from flexpose_ray.config import Section, parse, read_recipe
from flexpose_ray.config.benchmark import BenchmarkRecipe, benchmark_key, row_settings
from flexpose_ray.errors import ConfigError
from flexpose_ray.methods.flexpose import FlexPoseSettings
from flexpose_ray.methods.registry import METHODS

PAIR = {"name": "a-b", "generator": "builtin:coco", "target": {"poses": "synthetic:rowing"}}


def recipe(**changes) -> BenchmarkRecipe:
    return parse(BenchmarkRecipe, {"name": "test", "pairs": [PAIR], "methods": ["coral"], **changes}, "file")


def test_methods_may_be_a_list_of_names():
    rows = recipe(methods=["coral", "flow"]).methods
    assert {name: (row.method, row.settings) for name, row in rows.items()} == {
        "coral": ("coral", {}),
        "flow": ("flow", {}),
    }


def test_rows_may_have_names_and_settings_of_their_own():
    rows = recipe(methods={"coral": None, "mine": {"method": "flexpose", "steps": 9, "layers": [1, 3]}}).methods
    assert rows["coral"].method == "coral"
    settings = row_settings("mine", rows["mine"])
    paper = dict(bias=False, loss="perceptual", pairing="random", blend=False)  # what is not named is the method's own
    assert settings == FlexPoseSettings(layers=(1, 3), steps=9, **paper)


def test_a_row_may_have_a_count_shots_and_poses_of_its_own():
    flow = {"count": 900, "shots_per_label": 4, "poses": 70, "steps": 9}
    rows = recipe(methods={"flow": flow, "coral": None}).methods
    own = [(row.count, row.shots_per_label, row.poses, row.settings) for row in rows.values()]
    assert own == [(900, 4, 70, {"steps": 9}), (None, None, None, {})]


def test_a_recipe_survives_its_own_dump():
    made = recipe(methods={"mine": {"method": "flow", "steps": 9, "count": 900, "poses": 70}})
    assert BenchmarkRecipe.model_validate(made.model_dump(mode="json")) == made


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"methods": ["corall"]}, r"^methods.corall: unknown method 'corall' \(choose one of aligned, "),
        ({"methods": {"flow": {"stepz": 3}}}, r"^methods.flow: unknown key stepz \(known here: width, depth, steps"),
        ({"methods": {"flow": {"steps": 0}}}, r"^methods.flow: steps: should be greater than or equal to 1, found 0"),
        ({"methods": {"lora": {"loss": "l1"}}}, "^methods.lora: loss: should be 'adversarial' or 'perceptual'"),
        ({"methods": {"coral": {"shrink": 2}}}, "^methods.coral: shrink: .*less than or equal to 1"),
        ({"methods": {"coral": {"shrinks": 2}}}, r"unknown key shrinks \(known here: shrink\)"),
        ({"methods": {"coral": {"count": 3}}}, "count: should be greater than or equal to 64, found 3"),
        ({"methods": {"coral": {"shots_per_label": 0}}}, "shots_per_label: should be greater than or equal to 1"),
        ({"methods": {"Bad Name": {"method": "coral"}}}, "pattern"),
        ({"methods": []}, "methods: .*at least 1"),
        ({"pairs": [PAIR, PAIR]}, "pairs: a-b is listed twice"),
        ({"seeds": [1, 1]}, "seeds: 1 is listed twice"),
        ({"seeds": []}, "seeds: .*at least 1"),
        ({"pairs": [{**PAIR, "sauce": 1}]}, "unknown key pairs.sauce"),
    ],
)
def test_faults_are_one_line(changes: dict, named: str):
    with pytest.raises(ConfigError, match=named) as error:
        recipe(**changes)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", METHODS)
def test_the_defaults_of_every_method_are_settings_that_pass(name: str):
    row = recipe(methods=[name]).methods[name]
    assert row_settings(name, row) == METHODS[name].settings


def test_rows_and_draws_may_be_added_in_the_same_folder_and_else_nothing():
    key = benchmark_key(recipe())
    assert benchmark_key(recipe(methods=["coral", "flow"], seeds=[7])) == key
    assert benchmark_key(recipe(count=100)) != key
    assert benchmark_key(recipe(pairs=[{**PAIR, "source": "synthetic:cycling"}])) != key


def test_a_source_may_be_one_or_several():
    one = recipe(pairs=[{**PAIR, "source": "synthetic:cycling"}]).pairs[0]
    two = recipe(pairs=[{**PAIR, "source": [{"poses": "synthetic:cycling"}, {"poses": "synthetic:rowing"}]}]).pairs[0]
    assert [source.poses for source in one.sources] == ["synthetic:cycling"]
    assert len(two.sources) == 2 and recipe().pairs[0].sources == ()


@pytest.mark.parametrize("name", ["benchmark_quick", "benchmark_penn"])
def test_shipped_recipes_are_sound(name: str):
    assert read_recipe(BenchmarkRecipe, name).name == name


def test_an_option_changes_one_setting(tmp_path):
    file = tmp_path / "b.yaml"
    file.write_text(yaml.safe_dump({"name": "test", "pairs": [PAIR], "methods": {"flow": {"steps": 5}}}))
    made = read_recipe(BenchmarkRecipe, str(file), ["methods.flow.width=32", "seeds=[4]"])
    assert isinstance(made, Section) and made.seeds == (4,)
    assert made.methods["flow"].settings == {"steps": 5, "width": 32}
