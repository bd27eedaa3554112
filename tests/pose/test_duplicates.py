"""Duplicates: the same as by comparing all with all, the earlier one stays, in one call or in several."""

import numpy as np
import pytest

from flexpose_ray.pose import duplicates as module
from flexpose_ray.pose.distance import joint_distance
from flexpose_ray.pose.duplicates import duplicates

NONE = np.empty((0, 15, 2), np.float32)
BOUND = 0.05


def clumps(count=300, joints=15, seed=0):
    """Poses around a few dozen centres, so that many are near another one, some of them just about."""
    rng = np.random.default_rng(seed)
    centres = rng.random((40, joints, 2))
    return (centres[rng.integers(40, size=count)] + rng.normal(0, 0.029, (count, joints, 2))).astype(np.float32)


def find(poses_NJ2, kept=NONE, judged=None, stays=None):
    every = np.ones(len(poses_NJ2), bool)
    judged = every if judged is None else judged
    return duplicates(poses_NJ2, kept, BOUND, judged, judged if stays is None else stays)


def by_hand(poses_NJ2, judged, stays):
    found, kept = np.zeros(len(poses_NJ2), bool), []
    for i, pose_J2 in enumerate(poses_NJ2):
        found[i] = judged[i] and any(joint_distance(pose_J2, poses_NJ2[j]) < BOUND for j in kept)
        if stays[i] and not found[i]:
            kept.append(i)
    return found


@pytest.mark.parametrize("joints", [15, 68])
@pytest.mark.parametrize("block", [7, 256])
def test_they_are_those_of_comparing_all_with_all(joints, block, monkeypatch):
    monkeypatch.setattr(module, "PAIRS", block)
    poses_NJ2 = clumps(joints=joints)
    rng = np.random.default_rng(1)
    judged = rng.random(300) < 0.9
    stays = judged & (rng.random(300) < 0.8)
    wanted = by_hand(poses_NJ2, judged, stays)
    assert 0.1 < wanted.mean() < 0.9
    np.testing.assert_array_equal(find(poses_NJ2, NONE[:, :1].repeat(joints, 1), judged, stays), wanted)


@pytest.mark.parametrize("cut", [0, 1, 150, 300])
def test_two_calls_with_what_was_kept_equal_one(cut):
    poses_NJ2 = clumps()
    whole = find(poses_NJ2)
    first = find(poses_NJ2[:cut])
    np.testing.assert_array_equal(first, whole[:cut])
    np.testing.assert_array_equal(find(poses_NJ2[cut:], poses_NJ2[:cut][~first]), whole[cut:])


def test_a_shifted_pose_is_found_up_to_the_bound():
    pose_J2 = clumps(1)[0]
    for shift, found in ((0.9 * BOUND, True), (1.1 * BOUND, False)):
        assert find(np.stack([pose_J2, pose_J2 + np.float32([shift, 0])])).tolist() == [False, found]


def test_of_poses_all_alike_the_first_stays():
    assert find(np.repeat(clumps(1), 600, 0)).tolist() == [False] + [True] * 599


def test_nothing_to_judge_or_no_bound_finds_nothing():
    assert find(NONE).tolist() == []
    nan = np.full((2, 15, 2), np.nan)
    assert find(nan, judged=np.zeros(2, bool)).tolist() == [False, False]
    assert not duplicates(np.repeat(clumps(1), 3, 0), NONE, 0.0, np.ones(3, bool), np.ones(3, bool)).any()
