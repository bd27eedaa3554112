"""The score table: the same count everywhere, a floor by group, no silent truncation of bad input."""

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.judging.scores import FLOOR, halves, score_table
from flexpose_ray.pose.sets import PoseSet


def cloud(count, seed, mean=0.5, joints=15):
    return np.random.default_rng(seed).normal(mean, 0.1, (count, joints, 2)).astype(np.float32)


def test_halves_never_share_a_video():
    videos = np.repeat([f"video {i}" for i in range(20)], 10)
    target = PoseSet(cloud(200, 0), group_N=videos)
    sides = [set(videos[np.isin(target.keypoints_NJ2[:, 0, 0], half[:, 0, 0])]) for half in halves(target, seed=3)]
    assert not sides[0] & sides[1]
    assert len(sides[0] | sides[1]) == 20


def test_a_set_of_one_video_is_cut_by_pose():
    one, other = halves(PoseSet(cloud(40, 0), group_N=np.full(40, "only")))
    assert len(one) == len(other) == 20


def test_every_row_has_the_count_of_the_smallest_set():
    target = PoseSet(cloud(300, 0))
    table = score_table({"many": cloud(1000, 1), "few": cloud(90, 2)}, target, count=500)
    assert [row["name"] for row in table] == [FLOOR, "many", "few"]
    assert {row["count"] for row in table} == {90}
    assert {row["count"] for row in score_table({"many": cloud(1000, 1)}, target, count=500)} == {150}


def test_a_larger_set_may_be_judged_whole():
    target, many = PoseSet(cloud(300, 0)), cloud(1000, 1)
    few, all_of_it = (score_table({"many": many}, target, many[:3], judged=judged) for judged in (100, 1000))
    assert few[0] == all_of_it[0] and few[0]["count"] == all_of_it[1]["count"] == 150
    assert few[1]["coverage"] < all_of_it[1]["coverage"]
    assert (few[1]["copies"], all_of_it[1]["copies"]) == (3 / 100, 3 / 1000)


def test_floor_is_below_a_shifted_set_and_the_seed_repeats_the_table():
    target, rows = PoseSet(cloud(400, 0)), {"same": cloud(400, 1), "moved": cloud(400, 2, mean=0.6)}
    floor, same, moved = table = score_table(rows, target, seed=1)
    assert moved["fd"] > 3 * floor["fd"]
    assert same["fd"] == pytest.approx(floor["fd"], rel=0.3)
    assert abs(floor["mmd2"]) < 0.01 < moved["mmd2"]
    assert table == score_table(rows, target, seed=1) != score_table(rows, target, seed=2)


def test_shots_add_distance_and_copies():
    shots = cloud(5, 9)
    row = score_table({"copied": shots[np.arange(50) % 5]}, PoseSet(cloud(100, 0)), shots)[1]
    assert (row["shot_distance"], row["copies"]) == (0, 1)
    assert "copies" not in score_table({"copied": cloud(50, 1)}, PoseSet(cloud(100, 0)))[1]


def test_bad_rows_and_targets_are_named():
    with pytest.raises(DataError, match="faces: expected more than 5 poses of 15 joints"):
        score_table({"faces": cloud(50, 0, joints=68)}, PoseSet(cloud(100, 0)))
    with pytest.raises(DataError, match=r"tiny: .* found \(3, 15, 2\)"):
        score_table({"tiny": cloud(3, 0)}, PoseSet(cloud(100, 0)))
    with pytest.raises(DataError, match="hold out more target poses"):
        score_table({"any": cloud(50, 0)}, PoseSet(cloud(8, 0)))
