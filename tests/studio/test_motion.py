import numpy as np
import pytest

from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.motion import ACTIONS, perform
from flexpose_ray.studio.people import SEGMENTS

EACH = pytest.mark.parametrize("action", ACTIONS)


def performed(action, count=20):
    """Joints by name, each (count * 24, 3), of performances by the average person."""
    clips = [perform(action, SEGMENTS, 24, np.random.default_rng(seed)) for seed in range(count)]
    return {joint: np.concatenate(clips)[:, i] for i, joint in enumerate(BODY_15.joints)}


def ahead(at):
    """Where people face, horizontally."""
    way_F3 = np.cross(at["left_hip"] - at["right_hip"], [0, 1, 0])
    return way_F3 / np.linalg.norm(way_F3, axis=1, keepdims=True)


@EACH
def test_limbs_keep_their_lengths_and_sides(action):
    at = performed(action)
    ends = {"upper_arm": ("shoulder", "elbow"), "forearm": ("elbow", "wrist"), "thigh": ("hip", "knee")}
    ends["shank"] = ("knee", "ankle")
    for side in ("left", "right"):
        for part, (a, b) in ends.items():
            length_F = np.linalg.norm(at[f"{side}_{a}"] - at[f"{side}_{b}"], axis=1)
            np.testing.assert_allclose(length_F, SEGMENTS[part], rtol=1e-6)
    np.testing.assert_allclose((at["left_hip"] + at["right_hip"]) / 2, at["pelvis"], atol=1e-9)
    np.testing.assert_allclose((at["left_shoulder"] + at["right_shoulder"]) / 2, at["neck"], atol=1e-9)


@EACH
def test_people_stand_face_ahead_and_bend_their_knees_as_people_do(action):
    at = performed(action)
    forward_F3 = ahead(at)
    assert (at["neck"][:, 1] > 0).all() and (at["left_ankle"][:, 1] < -0.1).all()
    for side in ("left", "right"):
        middle_F3 = (at[f"{side}_hip"] + at[f"{side}_ankle"]) / 2
        assert ((at[f"{side}_knee"] - middle_F3) * forward_F3).sum(1).min() > -0.03
        elbow_F3 = at[f"{side}_elbow"] - (at[f"{side}_shoulder"] + at[f"{side}_wrist"]) / 2
        assert np.median((elbow_F3 * forward_F3).sum(1)) < 0.02  # elbows bend back, or aside
    across_F = ((at["left_shoulder"] - at["right_shoulder"]) * (at["left_hip"] - at["right_hip"])).sum(1)
    assert across_F.min() > 0


def test_each_action_is_what_its_name_says():
    high = {action: performed(action) for action in ACTIONS}
    wrists = {a: np.maximum(at["left_wrist"][:, 1], at["right_wrist"][:, 1]) for a, at in high.items()}
    heads = {a: at["head"][:, 1] for a, at in high.items()}
    assert (wrists["waving"] > high["waving"]["neck"][:, 1]).mean() > 0.7
    assert (wrists["reaching_up"] > heads["reaching_up"]).mean() > 0.3
    assert (wrists["walking"] < high["walking"]["neck"][:, 1]).all()
    assert (heads["bowing"] < 0.25).mean() > 0.2 and heads["walking"].min() > 0.35
    assert np.ptp(high["squatting"]["left_ankle"][:, 1]) > 0.2
    pointing = high["pointing"]
    reach_F = [
        ((pointing[f"{s}_wrist"] - pointing[f"{s}_shoulder"]) * ahead(pointing)).sum(1) for s in ("left", "right")
    ]
    assert (np.maximum(*reach_F) > 0.2).mean() > 0.3


@EACH
def test_the_seed_alone_decides(action):
    first, again, other = (perform(action, SEGMENTS, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
