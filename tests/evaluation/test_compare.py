"""What `flexpose evaluate` reports: an honest verdict, the judged row marked, doubts named."""

import json

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.evaluation.compare import YOURS, evaluate, format_table, simple_methods
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.sets import PoseSet


def poses(count, seed, mean=0.5, std=0.1):
    return PoseSet(np.random.default_rng(seed).normal(mean, std, (count, 15, 2)))


TARGET, SOURCE, SHOTS = poses(600, 0, 0.6), poses(600, 1), poses(20, 2, 0.6)


@pytest.fixture(scope="module")
def good():
    return evaluate(
        poses(500, 3, 0.6), TARGET, SOURCE, SHOTS, count=200, extra={"rival <b>": poses(300, 4).keypoints_NJ2}
    )


def test_result_is_json_with_the_data_sets_own_scores_on_top(good):
    assert json.loads(json.dumps(good)) == good
    assert list(good["baselines"]) == ["source_as_is", "shots_alone", "pose_mixup", "mean_shift", "coral"]
    assert set(good["floor"]) == {"fd", "mmd2", "density", "coverage", "count", "shot_distance", "copies"}
    assert good["count"] == good["floor"]["count"] == good["methods"]["rival <b>"]["count"] == 200
    assert good["fd"] < min(row["fd"] for row in good["baselines"].values())
    assert (good["target_poses"], good["shot_poses"]) == (600, 20)


def test_verdict_says_beaten_or_not_and_by_how_much(good):
    rival = good["baselines"][good["best_baseline"]]["fd"]
    assert f"beats the best simple method (CORAL, FD {rival:.4f}) by {1 - good['fd'] / rival:.0%}" in good["verdict"]
    bad = evaluate(SOURCE, TARGET, SOURCE, SHOTS, count=200)
    assert "does not beat the best simple method" in bad["verdict"]
    assert (good["outcome"], bad["outcome"]) == ("beats", "behind")
    same = evaluate(SOURCE, TARGET, SOURCE, count=600)
    assert "on a par" in same["verdict"]
    assert same["outcome"] == "par"


def test_what_is_not_given_is_left_out_and_said():
    alone = evaluate(SOURCE, TARGET, count=200)
    assert (alone["baselines"], alone["best_baseline"]) == ({}, None)
    assert "copies" not in alone
    assert "nothing to beat" in alone["verdict"]
    assert alone["outcome"] == "unopposed"
    assert len(alone["notes"]) == 3
    assert list(evaluate(SOURCE, TARGET, shots=SHOTS, count=200)["baselines"]) == ["shots_alone", "pose_mixup"]
    assert list(evaluate(SOURCE, TARGET, source=SOURCE, count=200)["baselines"]) == ["source_as_is"]


def test_the_simple_methods_mirror_shots_that_look_alike_on_both_sides():
    drawn = {pose.tobytes() for pose in simple_methods(SOURCE, SHOTS, 400, 0)["shots_alone"]}
    assert drawn == {p.tobytes() for p in (*SHOTS.keypoints_NJ2, *flip(SHOTS.keypoints_NJ2, SHOTS.skeleton))}
    assert "mirror images" in " ".join(evaluate(SOURCE, TARGET, SOURCE, SHOTS, count=200)["notes"])
    right = PoseSet(SHOTS.keypoints_NJ2 * [0.1, 1] + [0.9, 0])  # all on one side of the canvas
    drawn = {pose.tobytes() for pose in simple_methods(SOURCE, right, 400, 0)["shots_alone"]}
    assert drawn == {p.tobytes() for p in right.keypoints_NJ2}
    assert "mirror images" not in " ".join(evaluate(SOURCE, TARGET, SOURCE, right, count=200)["notes"])


def test_copies_and_leaked_shots_are_named():
    leaked = TARGET.take(np.arange(20))
    notes = " ".join(evaluate(leaked.take(np.arange(300) % 20), TARGET, SOURCE, leaked, count=200)["notes"])
    assert "20 of 20 shots are among the target poses" in notes
    assert "100% of the data set are copies of a shot" in notes


def test_table_marks_the_judged_row_and_the_best_and_lines_up(good):
    lines = format_table(good).splitlines()
    table = lines[: lines.index("")]
    assert [line for line in table if line.startswith(">")] == [line for line in table if YOURS in line] == [table[-1]]
    assert [line for line in table if line[1] == "*"] == [table[-1]]
    assert len({len(line) for line in table}) == 1
    assert table[1].startswith("   floor (target / target)")
    assert any(line.startswith("   rival <b>") for line in table)
    assert "200 poses on each side" in lines[len(table) + 1]
    assert good["verdict"] in lines


def test_a_further_method_cannot_take_the_name_of_a_row():
    with pytest.raises(ConfigError, match="'coral' is taken"):
        evaluate(SOURCE, TARGET, SOURCE, SHOTS, extra={"coral": SOURCE.keypoints_NJ2})
