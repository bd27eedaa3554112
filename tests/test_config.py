"""Recipes: one line that names the fault, one hash for one meaning."""

import re
from importlib import resources

import pytest
import yaml
from pydantic import ValidationError

from flexpose_ray.config import (
    AdaptConfig,
    Recipe,
    config_hash,
    load_recipe,
    load_section,
    parse,
    pretrain_key,
    run_key,
)
from flexpose_ray.config.benchmark import BenchmarkRecipe
from flexpose_ray.config.reading import read_recipe, shipped_recipes
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import get_skeleton

LEAST = {"name": "mine", "source": "synthetic:rowing"}


@pytest.fixture
def recipe_file(tmp_path):
    """Writes a recipe, given as text or as what is added to the least one, and returns its path."""

    def write(content=None):
        text = content if isinstance(content, str) else yaml.safe_dump({**LEAST, **(content or {})})
        (tmp_path / "mine.yaml").write_text(text)
        return str(tmp_path / "mine.yaml")

    return write


def fault(path, *overrides):
    """The one line that a bad recipe gives."""
    with pytest.raises(ConfigError) as caught:
        load_recipe(path, list(overrides))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# ----- reading


def test_a_recipe_needs_a_name_and_an_origin_only(recipe_file):
    recipe = load_recipe(recipe_file())
    assert (recipe.name, recipe.source, recipe.generator) == ("mine", "synthetic:rowing", None)
    assert recipe.pretrain.batch % 4 == 0
    assert "name a source (KIND:PATH) to pretrain on, or a generator (URI)" in fault(recipe_file("name: mine"))
    assert "name: Field required" in fault(recipe_file("source: synthetic:rowing"))


KINDS = (Recipe, BenchmarkRecipe, SweepRecipe)


@pytest.mark.parametrize("kind, name", [(kind, name) for kind in KINDS for name in shipped_recipes(kind)])
def test_every_shipped_recipe_is_valid_by_name_and_bears_its_name(kind, name, monkeypatch):
    monkeypatch.setenv("FLEXPOSE_MPII", "models/mpii")
    recipe = read_recipe(kind, name)
    assert recipe.name == name
    assert read_recipe(kind, f"{name}.yaml") == recipe


def test_every_shipped_recipe_is_of_one_kind():
    files = [p.stem for p in resources.files("flexpose_ray.recipes").iterdir() if p.suffix == ".yaml"]
    assert sorted(name for kind in KINDS for name in shipped_recipes(kind)) == sorted(files)


def test_an_unknown_name_lists_the_shipped_recipes():
    assert "no such recipe (give a YAML file or one of cmu, coco, coco_adversarial, coco_mpii, " in fault("nonsense")


def test_a_recipe_is_frozen(recipe_file):
    with pytest.raises(ValidationError):
        load_recipe(recipe_file()).name = "other"


def test_variables_in_the_generator_s_address_are_filled_in(recipe_file, monkeypatch):
    monkeypatch.setenv("FLEXPOSE_TEST", "/somewhere")
    assert load_recipe(recipe_file({"generator": "${FLEXPOSE_TEST}/g"})).generator == "/somewhere/g"


# ----- faults


@pytest.mark.parametrize(("content", "named"), [
    ({"sauce": 1}, "unknown key sauce (known here: name, skeleton, source, "),
    ({"pretrain": {"kimgs": 1}}, "unknown key pretrain.kimgs (known here: kind, teacher, start, alpha, network, "),
    ({"pretrain": {"alpha": {"siz": 64}}}, "unknown key pretrain.alpha.siz (known here: size, channels, "),
    ({"target": {"poses": "x", "shots": 3}}, "unknown key target.shots (known here: poses, mapping, "),
])  # fmt: skip
def test_an_unknown_key_is_named_and_the_known_ones_are_listed(recipe_file, content, named):
    path = recipe_file(content)
    assert f"{path}: {named}" in fault(path)


@pytest.mark.parametrize(("content", "key", "found"), [
    ({"pretrain": {"lr": -1}}, "pretrain.lr", "-1"),
    ({"pretrain": {"lr": "fast"}}, "pretrain.lr", "'fast'"),
    ({"pretrain": {"kimg": float("inf")}}, "pretrain.kimg", "inf"),
    ({"pretrain": {"kimg": float("nan")}}, "pretrain.kimg", "nan"),
    ({"pretrain": {"alpha": {"size": 48}}}, "pretrain.alpha.size", "48"),
    ({"pretrain": {"alpha": {"size": 8}}}, "pretrain.alpha.size", "8"),
    ({"pretrain": {"beta": {"batch": 1}}}, "pretrain.beta.batch", "1"),
    ({"pretrain": {"beta": {"steps": 10}}}, "pretrain.beta.steps", "10"),
    ({"pretrain": {"bf16": "some"}}, "pretrain.bf16", "'some'"),
    ({"pretrain": {"seed": -1}}, "pretrain.seed", "-1"),
    ({"adapt": {"layers": "most"}}, "adapt.layers", "'most'"),
    ({"adapt": {"layers": 3}}, "adapt.layers", "3"),
    ({"adapt": {"layers": []}}, "adapt.layers", "[]"),
    ({"adapt": {"layers": [1, 0]}}, "adapt.layers", "0"),
    ({"adapt": {"loss": "l2"}}, "adapt.loss", "'l2'"),
    ({"generate": {"count": 0}}, "generate.count", "0"),
    ({"generate": 5}, "generate", "5"),
])  # fmt: skip
def test_a_value_out_of_range_is_named_with_its_key(recipe_file, content, key, found):
    line = fault(recipe_file(content))
    assert re.search(rf"mine\.yaml: {re.escape(key)}(\.\d+)?: .*, found {re.escape(found)} ", line), line


def test_a_skeleton_is_a_shipped_one_or_a_file_and_names_the_run_by_what_it_is(recipe_file, tmp_path):
    assert "skeleton: 'hand_7' is neither shipped nor a file" in fault(recipe_file({"skeleton": "hand_7"}))
    text = "name: bar\njoints: [a, b, c]\nlimbs: [[a, b, c]]\n"
    keys = []
    for name, definition in (
        ("one.yaml", text),
        ("two.yaml", text),
        ("three.yaml", text.replace("[a, b, c]]", "[a, c, b]]")),
    ):
        (tmp_path / name).write_text(definition)
        recipe = load_recipe(str(recipe_file({"skeleton": str(tmp_path / name)})))
        assert get_skeleton(recipe.skeleton).name == "bar"
        keys.append(pretrain_key(recipe))
    assert keys[0] == keys[1] != keys[2]


def test_faults_of_a_union_say_what_it_may_be(recipe_file):
    line = fault(recipe_file({"adapt": {"layers": "most"}}))
    assert "'all'" in line
    assert "list" in line
    assert "literal[" not in line
    assert "'auto'" in fault(recipe_file({"pretrain": {"bf16": "some"}}))


def test_a_batch_that_workers_cannot_share_is_refused(recipe_file):
    assert "pretrain: batch 6 is not a multiple of 4 x workers (1)" in fault(
        recipe_file({"pretrain": {"kind": "stylegan", "batch": 6}})
    )
    assert "flow.batch 512 is not a multiple of 4 x workers (3)" in fault(recipe_file(), "pretrain.workers=3")
    assert load_recipe(recipe_file(), ["pretrain.workers=2", "pretrain.batch=8"]).pretrain.workers == 2


@pytest.mark.parametrize(
    "name", ["", "Mine", "my recipe", "../mine", "-mine", "a/b", "mine.yaml", "a\n", "ä", "x" * 64]
)
def test_names_that_are_no_folders_everywhere_are_refused(name):
    with pytest.raises(ConfigError, match="name: String should match pattern"):
        parse(Recipe, {**LEAST, "name": name}, "here")


@pytest.mark.parametrize("name", ["a", "0", "coco_to_penn-2", "x" * 63])
def test_plain_names_are_taken(name):
    assert parse(Recipe, {**LEAST, "name": name}, "here").name == name


@pytest.mark.parametrize(("text", "named"), [
    ("name: [mine", "broken YAML: .*line 1"),
    ("name: !!python/object/apply:os.getcwd []", "broken YAML"),
    ("date: 2020-13-45", "broken YAML"),
    ("", "a recipe is a mapping of keys"),
    ("- mine", "a recipe is a mapping of keys"),
    ("just text", "a recipe is a mapping of keys"),
])  # fmt: skip
def test_what_is_no_recipe_is_refused(recipe_file, text, named):
    assert re.search(rf"mine\.yaml: {named}", fault(recipe_file(text)))


def test_files_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("binary.yaml", "missing.yaml", "."):
        assert str(tmp_path / name) in fault(str(tmp_path / name))


# ----- --set


def test_options_are_set_by_path_and_read_as_yaml(recipe_file):
    options = ["pretrain.alpha.size=32", "adapt.layers=[1, 3]", "pretrain.augment_target=null", "generate.images=webp"]
    recipe = load_recipe(recipe_file({"pretrain": {"kimg": 7}}), [*options, "target.poses=table:a=b.csv", "name=other"])
    assert (recipe.pretrain.alpha.size, recipe.pretrain.kimg, recipe.adapt.layers) == (32, 7, (1, 3))
    assert (recipe.pretrain.augment_target, recipe.generate.images) == (None, "webp")
    assert (recipe.target.poses, recipe.name) == ("table:a=b.csv", "other")
    assert load_recipe(recipe_file(), ["pretrain.lr=1e-3"]).pretrain.lr == 0.001
    assert load_recipe(recipe_file(), ["adapt.steps=1", "adapt.steps=2"]).adapt.steps == 2


@pytest.mark.parametrize(("option", "named"), [
    ("generate.count", r"--set generate\.count: expected key\.path=value"),
    ("=5", r"--set =5: expected key\.path=value"),
    ("name.first=x", "--set name.first=x: name is a value, not a section"),
    ("adapt.layers=[1", r"--set adapt\.layers=\[1: the value is not valid YAML"),
    ("generate.cuont=5", r"unknown key generate\.cuont \(known here: count, "),
    ("generate.count=many", r"generate\.count: .*found 'many' \(correct the recipe or the --set option\)"),
    ("generate..count=5", "unknown key generate"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(recipe_file, option, named):
    assert re.search(named, fault(recipe_file(), option))


def test_one_section_is_read_for_commands_that_need_no_more(recipe_file):
    path = recipe_file({"adapt": {"steps": 9, "layers": [2]}})
    config = load_section("adapt", path, ["adapt.steps=7", "adapt.lr=0.5"], ["steps=5"])
    assert (config.steps, config.lr, config.layers) == (5, 0.5, (2,))
    assert load_section("adapt", None, []) == AdaptConfig()
    assert load_section("adapt", None, [], ["steps=5"], base=AdaptConfig.paper()).loss == "perceptual"
    with pytest.raises(ConfigError, match=r"--set generate: has no effect here .*adapt\.KEY, KEY one of layers"):
        load_section("adapt", None, ["generate.count=5"], [])


def test_the_paper_s_setting_is_the_paper_s():
    paper = AdaptConfig.paper(steps=10)
    assert (paper.layers, paper.bias, paper.loss, paper.pairing) == ((3,), False, "perceptual", "random")
    assert (paper.mixup, paper.steps) == (1000, 10)
    with pytest.raises(ValidationError):
        AdaptConfig.paper(stepz=10)


# ----- hashes


def test_a_hash_is_the_same_in_every_version_and_place():
    assert config_hash({"b": 1, "a": [True, None, "x"]}) == "54a65415"
    recipe = parse(Recipe, LEAST, "here")
    assert config_hash(recipe.pretrain.alpha.model_dump(mode="json")) == "80b461e3"


def test_spelled_out_defaults_and_another_order_change_no_key(recipe_file):
    plain = load_recipe(recipe_file())
    spelled = load_recipe(recipe_file("source: synthetic:rowing\npretrain: {batch: 32, kimg: 500.0}\nname: mine"))
    assert spelled == plain
    assert (run_key(spelled), pretrain_key(spelled)) == (run_key(plain), pretrain_key(plain))


WHO = ["pretrain.workers=2", "pretrain.threads=1", "pretrain.report_kimg=1"]  # does it, and how much is told


@pytest.mark.parametrize("option", [*WHO, "pretrain.kimg=900", "generate.count=5", "adapt.steps=7", "name=x"])
def test_what_does_not_change_the_training_keeps_its_folder(recipe_file, option):
    path, adversarial = recipe_file(), ["pretrain.kind=stylegan", "pretrain.teacher=none"]
    assert pretrain_key(load_recipe(path, [*adversarial, option])) == pretrain_key(load_recipe(path, adversarial))


WHAT = ["seed=1", "batch=64", "alpha.width=0.05", "beta.steps=90", "eval_kimg=3"]


@pytest.mark.parametrize("option", [*(f"pretrain.{key}" for key in WHAT), "source=synthetic:cycling", "mapping=m.yaml"])
def test_what_changes_the_training_starts_beside_it(recipe_file, option):
    path, adversarial = recipe_file(), ["pretrain.kind=stylegan", "pretrain.teacher=none"]
    for key in (pretrain_key, run_key):
        assert key(load_recipe(path, [*adversarial, option])) != key(load_recipe(path, adversarial))


def test_a_run_s_folder_depends_on_what_is_made_and_not_on_who_makes_it(recipe_file):
    path = recipe_file()
    key = run_key(load_recipe(path))
    assert re.fullmatch(r"mine-[0-9a-f]{8}", key)
    for option in ("generate.actors=3", *WHO):
        assert run_key(load_recipe(path, [option])) == key
    for option in ("generate.count=5", "adapt.seed=1", "evaluate.count=64", "name=other"):
        assert run_key(load_recipe(path, [option])) != key


# ----- pretraining's sources and workers


def test_the_shipped_recipe_keeps_the_folder_of_runs_that_began_with_earlier_versions():
    """A new default or key would begin them anew."""
    assert pretrain_key(load_recipe("coco_adversarial")) == "pretrain-bed79585"


def mixture(*sources, **changes):
    return parse(Recipe, {"name": "mine", "source": list(sources), **changes}, "f")


def test_sources_have_one_form_inside():
    single = parse(Recipe, {"name": "a", "source": "coco:x", "mapping": "m", "attribution": "who"}, "f")
    assert [s.model_dump() for s in single.sources] == [
        {"poses": "coco:x", "weight": 1, "mapping": "m", "attribution": "who"}
    ]
    assert mixture({"poses": "a:b"}, {"poses": "c:d"}).source_name == "a:b + c:d"
    assert parse(Recipe, {"name": "a", "generator": "builtin:coco"}, "f").sources == ()


def test_weights_make_another_run_and_attributions_do_not():
    keys = [
        pretrain_key(mixture({"poses": "a:b", **changes}, {"poses": "c:d"}))
        for changes in ({}, {"attribution": "who"}, {"weight": 2}, {"mapping": "m"})
    ]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(("source", "told"), [
    ([{"poses": "x", "wait": 2}], r"unknown key source\.0\.wait \(known here: poses, weight, mapping, attribution\)"),
    ([{"poses": "x"}, {"poses": "x", "weight": 0}], r"source\.1\.weight: should be greater than 0, found 0"),
    (5, "source: should be a valid string or a list"),
])  # fmt: skip
def test_faults_within_a_list_of_sources_are_named(source, told):
    with pytest.raises(ConfigError, match=told):
        parse(Recipe, {"name": "a", "source": source}, "f")


def test_with_several_sources_mapping_and_attribution_stand_beside_each():
    with pytest.raises(ConfigError, match="belong beside the poses of each"):
        mixture({"poses": "a:b"}, mapping="m")


def test_workers_are_a_number_or_a_range_that_the_batch_can_be_split_for():
    def workers(value, **changes):
        pretrain = {"workers": value, **changes}
        return parse(Recipe, {"name": "a", "source": "x:y", "pretrain": pretrain}, "f").pretrain

    assert workers(2).worker_range == (2, 2)
    assert workers([1, 2]).worker_range == (1, 2)
    stylegan = {"kind": "stylegan", "batch": 48}
    assert workers([1, 3], **stylegan).worker_range == (1, 3)
    larger = "the first number is larger than the second"
    for value, told in (([1, 3], "not a multiple of 4 x workers .3."), ([2, 1], larger)):
        with pytest.raises(ConfigError, match=told):
            workers(value)
