import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import BODY_15, FACE_68, SKELETONS, get_skeleton, load_skeleton

BOTH = pytest.mark.parametrize("skeleton", [get_skeleton(name) for name in SKELETONS], ids=SKELETONS)


@BOTH
def test_names_are_unique_and_limbs_join_existing_joints(skeleton):
    assert len(set(skeleton.joints)) == skeleton.n_joints == len(skeleton.flip)
    assert len(skeleton.hues) == len(skeleton.limbs)
    assert len({frozenset(limb) for limb in skeleton.limbs}) == len(skeleton.limbs)
    assert set(skeleton.limbs_LK.ravel()) == set(range(skeleton.n_joints))


@BOTH
def test_flip_is_an_involution_and_mirrors_limbs_onto_limbs(skeleton):
    assert [skeleton.flip[skeleton.flip[j]] for j in range(skeleton.n_joints)] == list(range(skeleton.n_joints))
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    assert {frozenset(skeleton.flip[j] for j in limb) for limb in limbs} == limbs


@BOTH
def test_colours_are_saturated_rgb(skeleton):
    colors_L3 = skeleton.colors_L3
    assert colors_L3.dtype == np.float32 and colors_L3.shape == (len(skeleton.limbs), 3)
    np.testing.assert_allclose(colors_L3.max(1), 1)
    np.testing.assert_allclose(colors_L3.min(1), 0, atol=1e-6)


def test_body_has_the_order_of_the_contract():
    arms = [f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist")]
    legs = [f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")]
    assert list(BODY_15.joints) == ["head", "neck", "pelvis", *arms, *legs]


def test_body_is_a_tree_of_14_limbs_with_a_colour_each():
    assert len(BODY_15.limbs) == 14 == len(set(BODY_15.hues))
    reached = {0}
    for _ in BODY_15.limbs:
        reached |= {j for limb in BODY_15.limbs if reached & set(limb) for j in limb}
    assert reached == set(range(15))


def test_body_flip_swaps_sides_only():
    for name, mirror in zip(BODY_15.joints, BODY_15.flip, strict=True):
        swapped = name.replace("left", "?").replace("right", "left").replace("?", "right")
        assert BODY_15.joints[mirror] == swapped


def test_face_flip_keeps_the_midline_and_the_parts():
    fixed = [j for j in range(68) if FACE_68.flip[j] == j]
    assert fixed == [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]
    assert [FACE_68.flip[j] for j in (0, 17, 36, 39, 48, 60)] == [16, 26, 45, 42, 54, 64]


def test_get_skeleton_knows_both_and_names_them_for_an_unknown_one():
    assert get_skeleton("body_15") is BODY_15 and get_skeleton("face_68") is FACE_68
    with pytest.raises(ConfigError, match=r"unknown skeleton 'hand_7' \(choose one of body_15, coco_17"):
        get_skeleton("hand_7")


OWN = """
name: dog_5
category: dog
joints: [nose, left_ear, right_ear, withers, tail]
mirror: [[left_ear, right_ear]]
limbs:
  - [nose, withers, tail]
  - {chain: [left_ear, nose, right_ear], hue: 0.5}
"""


@pytest.fixture
def own(tmp_path):
    def own(text):
        (tmp_path / "own.yaml").write_text(text)
        return tmp_path / "own.yaml"

    return own


def test_a_skeleton_of_ones_own_is_read_from_a_file(own):
    dog = load_skeleton(own(OWN))
    assert (dog.name, dog.category, dog.n_joints) == ("dog_5", "dog", 5)
    assert dog.limbs == ((0, 3), (3, 4), (1, 0), (0, 2)) and dog.flip == (0, 2, 1, 3, 4)
    assert dog.hues[0] == dog.hues[1] != dog.hues[2] == dog.hues[3] == 0.5


def test_data_carries_the_definition_of_ones_own_and_the_name_of_a_shipped_one(own):
    dog = load_skeleton(own(OWN))
    assert dog.text.startswith("{") and get_skeleton(dog.text) is dog and get_skeleton(dog.text).text == dog.text
    assert [get_skeleton(name).text for name in SKELETONS] == list(SKELETONS)
    assert load_skeleton("face_68") is FACE_68


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("joints:", "points:", "a skeleton has name, joints and limbs"),
        ("category: dog", "legs: 4", "unknown key 'legs'"),
        ("dog_5", "Dog 5", "'Dog 5'.*expected small letters"),
        ("dog_5", "body_15", "body_15 is the name of a shipped skeleton"),
        ("withers, tail]\nmirror", "nose]\nmirror", "found 4 joints, expected 2 to 512 different ones"),
        ("[[left_ear, right_ear]]", "[[left_ear, left_ear]]", "is no pair"),
        ("[[left_ear, right_ear]]", "[[left_ear, right_ear], [right_ear, tail]]", "is no pair"),
        ("[nose, withers, tail] ", "[nose]", "found"),
        ("- [nose, withers, tail]", "- [nose, withers, tusk]", "expected a list of two joints"),
        ("- [nose, withers, tail]", "- [nose, withers]", "tail is in no limb"),
        ("hue: 0.5", "hue: 2", "hue 2, expected"),
        ("hue: 0.5", "hue: .nan", "hue nan, expected"),
        ("limbs:", "limbs: [", "broken YAML"),
        (OWN, "- 1", "a skeleton has"),
    ],
)
def test_what_is_wrong_in_ones_own_is_named(own, old, new, problem):
    changed = OWN.replace(old.strip(), new) if old != OWN else new
    with pytest.raises(ConfigError, match=rf"own\.yaml: .*{problem}"):
        load_skeleton(own(changed))


def test_what_is_neither_shipped_nor_a_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="neither shipped nor a file"):
        load_skeleton(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="broken definition"):
        get_skeleton("{")
