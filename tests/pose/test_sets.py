import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose.sets import PoseSet


def some_poses(count=60, groups=12, labels=("kick", "walk", "wave")):
    rng = np.random.default_rng(0)
    group_N = np.array([f"clip{i % groups}" for i in range(count)])
    label_N = np.array([labels[i % groups % len(labels)] for i in range(count)])
    return PoseSet(rng.random((count, 15, 2)), group_N=group_N, label_N=label_N)


def test_missing_columns_are_completed():
    poses = PoseSet(np.zeros((3, 15, 2), np.float64))
    assert poses.keypoints_NJ2.dtype == np.float32 and len(poses) == 3
    np.testing.assert_array_equal(poses.crop_N3, [[1, 0, 0]] * 3)
    assert poses.crop_N3.dtype == np.float32
    assert list(poses.group_N) == ["0", "1", "2"] and list(poses.label_N) == ["", "", ""]


@pytest.mark.parametrize("shape", [(2, 17, 2), (2, 15, 3), (2, 30), (0,)])
def test_a_wrong_shape_is_refused(shape):
    with pytest.raises(DataError, match=r"body_15 needs \(N, 15, 2\) keypoints.*--mapping"):
        PoseSet(np.zeros(shape))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_are_refused_by_row(value):
    keypoints_NJ2 = np.zeros((4, 15, 2))
    keypoints_NJ2[2, 3, 1] = value
    with pytest.raises(DataError, match="pose 2: keypoints hold NaN or infinity"):
        PoseSet(keypoints_NJ2)


def test_columns_of_another_length_are_refused():
    with pytest.raises(DataError, match="label_N has 1 rows for 2 poses"):
        PoseSet(np.zeros((2, 15, 2)), label_N=np.array(["a"]))


def test_face_poses_have_68_points():
    assert PoseSet(np.zeros((1, 68, 2)), "face_68").skeleton.n_joints == 68


def test_take_follows_indices_and_masks():
    poses = some_poses()
    taken = poses.take(np.array([5, 2]))
    np.testing.assert_array_equal(taken.keypoints_NJ2, poses.keypoints_NJ2[[5, 2]])
    assert list(taken.group_N) == ["clip5", "clip2"]
    assert len(poses.take(poses.label_N == "walk")) == 20


@pytest.mark.parametrize("seed", range(5))
def test_split_never_shares_a_group(seed):
    kept, out = some_poses().split(0.25, seed)
    assert not set(kept.group_N) & set(out.group_N)
    assert len(kept) + len(out) == 60 and len(set(out.group_N)) == 3


def test_split_repeats_with_its_seed_and_changes_with_another():
    poses = some_poses()
    sides = [frozenset(poses.split(0.25, seed)[1].group_N) for seed in (0, 0, 1, 2, 3)]
    assert sides[0] == sides[1] and len(set(sides)) > 1


def test_split_of_nothing_and_of_everything():
    kept, out = some_poses().split(0.0)
    assert len(kept) == 60 and len(out) == 0
    kept, out = some_poses().split(1.0)
    assert len(kept) == 0 and len(out) == 60


@pytest.mark.parametrize("seed", range(5))
def test_shots_of_a_label_come_from_different_groups(seed):
    shots = some_poses().pick_shots(4, seed)
    assert len(shots) == 12
    for label in ("kick", "walk", "wave"):
        groups = shots.group_N[shots.label_N == label]
        assert len(groups) == 4 == len(set(groups))


def test_shots_repeat_a_group_only_when_groups_run_out():
    shots = some_poses(labels=("one",)).pick_shots(15)
    assert len(shots) == 15 and len(set(shots.group_N)) == 12
    assert len(np.unique(shots.keypoints_NJ2, axis=0)) == 15


def test_shots_are_as_many_as_there_are():
    assert len(some_poses().pick_shots(100)) == 60


def test_shots_repeat_with_their_seed():
    first, again, other = (some_poses().pick_shots(2, seed).keypoints_NJ2 for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("held_out, per_label", [(0.0, 1), (1.0, 0)])
def test_no_shots_are_refused(held_out, per_label):
    with pytest.raises(DataError, match="cannot pick"):
        some_poses().split(held_out)[1].pick_shots(per_label)


def test_lists_are_taken_as_columns():
    poses = PoseSet(np.zeros((2, 15, 2)), group_N=[7, 8], label_N=["a", "b"], crop_N3=[[2, 0, 0], [3, 0, 0]])
    assert list(poses.take(np.array([1])).group_N) == ["8"] and poses.crop_N3.dtype == np.float32
