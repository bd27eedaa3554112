"""A classifier's AUC: 0.5 for two samples of one source, near 1 for a Gaussian of the same mean and covariance."""

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.judging import classifier
from flexpose_ray.judging.classifier import FOLDS, classifier_auc
from flexpose_ray.pose.moments import moments
from flexpose_ray.sources.read import read_source

pytestmark = pytest.mark.slow  # it loads scikit-learn, and trains


@pytest.fixture(scope="module")
def halves():
    """Two halves of a source, by clip."""
    return read_source("synthetic:rowing?count=2000")[0].split(0.5)


def gaussian(pose_set, count):
    mean_D, cov_DD = moments(pose_set.keypoints_NJ2)
    flat_ND = np.random.default_rng(0).multivariate_normal(mean_D, cov_DD, count)
    return flat_ND.astype(np.float32).reshape(count, -1, 2)


def test_halves_of_a_source_cannot_be_told_apart_and_a_gaussian_can(halves):
    one, other = halves
    same = classifier_auc(one.keypoints_NJ2, other.keypoints_NJ2, groups_b=other.group_N)
    assert same == pytest.approx(0.5, abs=0.08)
    assert classifier_auc(gaussian(one, 1000), other.keypoints_NJ2, groups_b=other.group_N) > 0.98


def test_rounding_gives_no_set_away(halves):
    """Boxes end at 0.9 to the last bit in one set, and beside it in the other."""
    one, other = halves
    moved = one.keypoints_NJ2 * np.float32(1 + 1e-6)
    assert not np.array_equal(moved, one.keypoints_NJ2)
    alike, rounded = (
        classifier_auc(x, other.keypoints_NJ2, groups_b=other.group_N) for x in (one.keypoints_NJ2, moved)
    )
    assert rounded == pytest.approx(alike, abs=0.02)


def test_the_seed_repeats_it(halves):
    one, other = (half.keypoints_NJ2[:300] for half in halves)
    assert classifier_auc(one, other) == classifier_auc(one, other) != classifier_auc(one, other, seed=1)


def test_a_few_moved_joints_are_noticed_more_the_further_they_moved(halves):
    one, other = (half.keypoints_NJ2[:500] for half in halves)
    found = []
    for far in (0.0, 0.02, 0.1):
        moved = one.copy()
        moved[:, 5] += far
        found.append(classifier_auc(moved, other))
    assert found == sorted(found)
    assert found[2] > 0.95


def test_a_group_is_never_on_both_sides():
    """Real poses of few groups, each of nearly one pose: by pose they are recognised, by group nothing is learned."""
    rng = np.random.default_rng(0)
    centres = rng.normal(0.5, 0.1, (60, 5, 2))
    real = np.repeat(centres, 20, 0) + rng.normal(0, 1e-3, (1200, 5, 2))
    judged = rng.normal(0.5, 0.1, (1200, 5, 2))
    groups = np.repeat([f"video {i}" for i in range(60)], 20)
    by_pose, by_group = classifier_auc(judged, real), classifier_auc(judged, real, groups_b=groups)
    assert by_pose > 0.95
    assert by_group < 0.7


def test_only_some_pairs_of_many_joints_are_features(monkeypatch):
    monkeypatch.setattr(classifier, "PAIRS", 7)
    first, second = classifier._pairs(68, np.random.default_rng(0))
    assert len(first) == len(second) == 7
    assert (first < second).all()


def test_folds_are_of_about_one_size():
    groups = np.repeat(np.arange(40), np.arange(40) % 7 + 1)
    fold_N = classifier._folds(groups, np.random.default_rng(0))
    assert np.bincount(fold_N, minlength=FOLDS).min() > 0.7 * len(groups) / FOLDS
    assert all(len(set(fold_N[groups == group])) == 1 for group in groups)


POSES = np.random.default_rng(0).random((9, 5, 2))


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        (dict(a_NJ2=POSES[:2], b_NJ2=POSES), "judged poses: at least 3 needed, found 2"),
        (dict(a_NJ2=POSES, b_NJ2=POSES[:, :4]), "joint counts differ: 5 and 4"),
        (dict(a_NJ2=POSES, b_NJ2=POSES, groups_b=np.zeros(4)), r"groups of the real poses: \(4,\) for 9 poses"),
        (dict(a_NJ2=POSES, b_NJ2=POSES, groups_b=np.zeros(9)), "1 cannot be cut into 3 parts alike"),
    ],
)
def test_sets_that_say_nothing_are_refused(sets, problem):
    with pytest.raises(DataError, match=problem):
        classifier_auc(**sets)


def test_people_of_other_pictures_are_alike_and_a_gaussian_is_none_of_them(real_data):
    found, _ = read_source(f"coco:{real_data}/coco2017_keypoints/person_keypoints_train2017.json.gz")
    one, other = found.split(0.5)
    same = classifier_auc(one.keypoints_NJ2, other.keypoints_NJ2, groups_b=other.group_N)
    assert same == pytest.approx(0.5, abs=0.05)
    assert classifier_auc(gaussian(found, 2000), other.keypoints_NJ2, groups_b=other.group_N) > 0.98
