"""Pictures in a recipe: a place or a section, settings checked, old runs keep their names."""

import pytest

from flexpose_ray.config import Recipe, parse, run_key
from flexpose_ray.errors import ConfigError

BASE = {"name": "mine", "generator": "builtin:coco", "target": {"poses": "synthetic:rowing"}}


def recipe(**changes) -> Recipe:
    return parse(Recipe, BASE | changes, "mine")


def test_a_place_alone_is_a_section():
    assert recipe(pictures="frames/").pictures == recipe(pictures={"unlabelled": "frames/"}).pictures


def test_places_may_hold_variables(monkeypatch):
    monkeypatch.setenv("MINE", "/data")
    given = {"unlabelled": "${MINE}/frames", "folder": "$MINE/test", "test": "coco:$MINE/a.json"}
    given["annotated"] = "coco:${MINE}/b.json"
    found = recipe(pictures=given).pictures
    assert found.annotated == "coco:/data/b.json"
    assert (found.unlabelled, found.folder, found.test) == ("/data/frames", "/data/test", "coco:/data/a.json")


def test_a_run_without_pictures_keeps_its_name():
    """The hash is that of the version before there were any."""
    assert run_key(recipe()) == "mine-b8e451a7"
    assert run_key(recipe(pictures="frames/")) != run_key(recipe())
    of_one, of_two = (recipe(pictures={"unlabelled": "a", "workers": n}) for n in (1, 2))
    assert run_key(of_one) == run_key(of_two)


def test_a_run_without_annotated_pictures_keeps_its_name():
    """The hash is that of the version before there could be some."""
    key = run_key(recipe(pictures="frames/"))
    assert key == "mine-1d2b054c"
    assert run_key(recipe(pictures={"unlabelled": "frames/", "annotated": "coco:a.json"})) != key


@pytest.mark.parametrize(
    ("pictures", "named"),
    [
        ({"unlabelled": "a", "settings": {"stepz": 3}}, r"pictures\.settings: unknown setting stepz"),
        ({"unlabelled": "a", "poses": 0}, r"pictures\.poses"),
        ({"unlabelled": "a", "seeds": [1]}, r"pictures: unknown key seeds|unknown key pictures.seeds|seeds"),
        ({"test": "a"}, r"pictures\.unlabelled"),
    ],
)
def test_faults_are_named(pictures, named):
    with pytest.raises(ConfigError, match=named):
        recipe(pictures=pictures)
