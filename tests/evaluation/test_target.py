import numpy as np
import pytest

from flexpose_ray.config import TargetConfig
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.evaluation.target import read_target, split_target


@pytest.fixture
def table(tmp_path):
    """60 poses of three labels in 30 groups."""
    path = tmp_path / "target.npz"
    keypoints_NJ2 = 100 * np.random.default_rng(0).random((60, 15, 2))
    np.savez(path, keypoints=keypoints_NJ2, group=np.arange(60) // 2, label=np.repeat(["run", "sit", "walk"], 20))
    return f"table:{path}"


def labels(poses):
    return sorted(set(poses.label_N.tolist()))


def rows(poses):
    return {pose.tobytes() for pose in poses.keypoints_NJ2}


@pytest.mark.parametrize(
    ("only", "exclude", "left"),
    [
        ((), (), ["run", "sit", "walk"]),
        (("walk", "run"), (), ["run", "walk"]),
        ((), ("sit",), ["run", "walk"]),
        (("walk", "run"), ("walk", "sit"), ["run"]),
    ],
)
def test_labels_are_kept_and_then_left_out(table, only, exclude, left):
    assert labels(read_target(TargetConfig(poses=table, only=only, exclude=exclude))) == left


@pytest.mark.parametrize("key", ["only", "exclude"])
def test_an_unknown_label_is_named_with_the_known_ones(table, key):
    with pytest.raises(ConfigError, match=rf"target\.{key}: no label 'fly' in .*its labels: run, sit, walk"):
        read_target(TargetConfig(poses=table, **{key: ["run", "fly"]}))


def test_nothing_left_is_refused(table):
    with pytest.raises(DataError, match="no poses are left"):
        read_target(TargetConfig(poses=table, only=["sit"], exclude=["sit"]))


def test_shots_come_from_the_rest_and_never_from_a_held_out_group(table):
    target = TargetConfig(poses=table, only=["walk", "run"], shots_per_label=3)
    held, shots, rest = split_target(target)
    assert len(held) + len(rest) == 40 and len(shots) == 6
    assert rows(shots) <= rows(rest)
    assert not set(held.group_N) & set(rest.group_N)


def test_a_seed_draws_other_shots_for_the_same_held_out_poses(table):
    target = TargetConfig(poses=table, seed=5)
    held, shots, _ = split_target(target)
    own, other = split_target(target, 5), split_target(target, 6)
    assert rows(own[1]) == rows(shots) != rows(other[1])
    assert rows(own[0]) == rows(other[0]) == rows(held)
    assert rows(split_target(target.model_copy(update={"seed": 6}))[0]) != rows(held)
