import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.judging.keypoints import keypoint_scores
from flexpose_ray.pose.skeleton import BODY_15, FACE_68

TRUE_NJ2 = np.random.default_rng(0).uniform(0.1, 0.9, (40, 15, 2)).astype(np.float32)
FLIP = BODY_15.flip


def test_what_is_found_right_has_no_error():
    scores = keypoint_scores(TRUE_NJ2, TRUE_NJ2, FLIP)
    assert scores["error"] == scores["mse"] == scores["best_error"] == scores["flipped"] == 0
    assert scores["pck5"] == scores["pck20"] == 1
    assert not any(name.startswith("corrected") for name in scores) and "nme" not in scores


def test_distances_are_euclidean_and_shares_count_joints():
    found_NJ2 = TRUE_NJ2.copy()
    found_NJ2[:, :5] += [0.03, 0.04]  # 5% away
    found_NJ2[:, 5:10] += [0.09, 0.12]  # 15%
    scores = keypoint_scores(found_NJ2, TRUE_NJ2, FLIP)
    assert scores["error"] == pytest.approx(0.2 / 3, rel=1e-4)
    assert scores["mse"] == pytest.approx((0.05**2 + 0.15**2) / 3, rel=1e-4)
    assert (scores["pck10"], scores["pck20"]) == (pytest.approx(2 / 3), 1)
    assert keypoint_scores(found_NJ2 * 0.999, TRUE_NJ2 * 0.999, FLIP)["pck5"] == pytest.approx(2 / 3)


def test_exchanged_sides_cost_the_plain_error_and_not_the_best():
    found_NJ2 = TRUE_NJ2.copy()
    found_NJ2[:10] = found_NJ2[:10][:, list(FLIP)]
    scores = keypoint_scores(found_NJ2, TRUE_NJ2, FLIP)
    assert scores["flipped"] == 0.25 and scores["best_error"] == 0 and scores["error"] > 0.05
    right, wrong = np.arange(40) < 10, np.arange(40) >= 10
    assert keypoint_scores(found_NJ2, TRUE_NJ2, FLIP, right)["corrected_error"] == 0
    worst = keypoint_scores(found_NJ2, TRUE_NJ2, FLIP, wrong)
    assert worst["corrected_error"] > worst["error"] and worst["corrected_pck5"] < worst["pck5"]


def test_faces_are_measured_by_the_distance_of_their_eyes():
    true_NJ2 = np.random.default_rng(1).uniform(0.1, 0.9, (5, 68, 2))
    true_NJ2[:, 36], true_NJ2[:, 45] = [0.3, 0.4], [0.7, 0.4]
    scores = keypoint_scores(true_NJ2 + np.array([0.02, 0]), true_NJ2, FACE_68.flip, eyes=(36, 45))
    assert scores["nme"] == pytest.approx(0.05)
    true_NJ2[3, 45] = true_NJ2[3, 36]
    with pytest.raises(DataError, match="face 3: its eyes are in one point"):
        keypoint_scores(true_NJ2, true_NJ2, FACE_68.flip, eyes=(36, 45))


@pytest.mark.parametrize("found_NJ2", [TRUE_NJ2[:3], TRUE_NJ2[:0]])
def test_other_pictures_are_refused(found_NJ2):
    with pytest.raises(DataError, match="give the same pictures twice"):
        keypoint_scores(found_NJ2, TRUE_NJ2[: len(found_NJ2) and 40], FLIP)
