import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import BODY_15, FACE_68, SKELETONS, get_skeleton

BOTH = pytest.mark.parametrize("skeleton", map(get_skeleton, SKELETONS), ids=SKELETONS)


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
    with pytest.raises(
        ConfigError, match=r"unknown skeleton 'hand_7' \(choose one of body_15, coco_17, face_68, hand_21"
    ):
        get_skeleton("hand_7")
