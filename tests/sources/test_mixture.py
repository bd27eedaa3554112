"""Several sets of source poses as one."""

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import mixed, pose_weights, read_mixture, set_numbers, split_mixture
from flexpose_ray.sources.pose_file import write_poses
from flexpose_ray.sources.read import read_source

SOURCES = [("synthetic:rowing?count=200", None), ("synthetic:cycling?count=60", None)]


def test_one_set_stays_as_it_is():
    ours, plain = read_mixture(SOURCES[:1]), read_source(SOURCES[0][0])[0]
    np.testing.assert_array_equal(ours.group_N, plain.group_N)
    assert pose_weights(ours, [2.0]) is None
    assert mixed(ours, [2.0], 0) is ours
    for mine, theirs in zip(split_mixture(ours, 0.2, 3, 1), plain.split(0.2, 3), strict=True):
        np.testing.assert_array_equal(mine.keypoints_NJ2, theirs.keypoints_NJ2)


def test_poses_keep_their_labels_and_know_their_set():
    poses = read_mixture(SOURCES)
    assert np.bincount(set_numbers(poses)).tolist() == [200, 60]
    assert set(poses.label_N[:200]) == {"rowing"}
    assert set(poses.label_N[200:]) == {"cycling"}
    assert len(np.unique(poses.group_N)) == 10 + 3, "groups of two sets fell together"


def test_every_set_is_split_by_itself_and_by_group():
    poses = read_mixture(SOURCES)
    train, held = split_mixture(poses, 1 / 3, 0, 2)
    assert np.bincount(set_numbers(held)).tolist() == [60, 20]
    assert not set(train.group_N) & set(held.group_N)
    assert len(train) + len(held) == len(poses)


def test_weights_of_poses_add_up_to_those_of_their_sets():
    poses = read_mixture(SOURCES)
    weights_N, set_N = pose_weights(poses, [1.0, 3.0]), set_numbers(poses)
    assert [weights_N[set_N == k].sum() for k in (0, 1)] == pytest.approx([1, 3])


def test_a_mixture_to_judge_by_has_the_proportions_of_the_weights():
    poses = read_mixture(SOURCES)
    found = mixed(poses, [1.0, 3.0], 0)
    assert np.bincount(set_numbers(found)).tolist() == [65, 195]
    _, times = np.unique(found.keypoints_NJ2[65:], axis=0, return_counts=True)
    assert set(times) <= {3, 4}, "some poses of the small set came much more often than others"


def test_sets_of_two_skeletons_do_not_mix(tmp_path):
    faces = PoseSet(np.random.default_rng(0).random((5, 68, 2)), "face_68")
    write_poses(f"{tmp_path}/faces.parquet", faces)
    with pytest.raises(ConfigError, match=r"its poses are face_68, those of synthetic:rowing\?count=200 body_15"):
        read_mixture([SOURCES[0], (f"poses:{tmp_path}/faces.parquet", None)])
