"""The simple methods do exactly what their names promise."""

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.methods.simple import coral_poses as coral
from flexpose_ray.methods.simple import draw_poses
from flexpose_ray.methods.simple import shift_poses as mean_shift
from flexpose_ray.pose import geometry
from flexpose_ray.pose.moments import moments


def body(count, seed, mean=0.5, std=0.1):
    """Poses whose pelvis is half-way between the hips, so that their covariance is singular as in real sets."""
    poses_NJ2 = np.random.default_rng(seed).normal(mean, std, (count, 15, 2)).astype(np.float32)
    poses_NJ2[:, 2] = (poses_NJ2[:, 9] + poses_NJ2[:, 12]) / 2
    return poses_NJ2


SOURCE, SHOTS = body(3000, 0), body(40, 1, mean=0.6, std=0.03)


def source_as_is(source_NJ2, shots_NJ2, count, seed):
    return draw_poses(source_NJ2, count, seed)


def shots_alone(source_NJ2, shots_NJ2, count, seed):
    return draw_poses(shots_NJ2, count, seed, "shots")


def pose_mixup(source_NJ2, shots_NJ2, count, seed):
    return geometry.pose_mixup(shots_NJ2, count, np.random.default_rng(seed))


@pytest.mark.parametrize("method", [source_as_is, shots_alone, pose_mixup, mean_shift, coral])
def test_every_method_keeps_count_type_and_seed(method):
    for count in (7, 5000):
        poses = method(SOURCE, SHOTS, count, 3)
        assert poses.shape == (count, 15, 2)
        assert poses.dtype == np.float32
        np.testing.assert_array_equal(poses, method(SOURCE, SHOTS, count, 3))
        assert not np.array_equal(poses, method(SOURCE, SHOTS, count, 4))


def test_drawn_poses_are_poses_of_the_set():
    for method, origin in ((source_as_is, SOURCE), (shots_alone, SHOTS)):
        known = {p.tobytes() for p in origin}
        assert {p.tobytes() for p in method(SOURCE, SHOTS, 500, 0)} <= known
    assert len({p.tobytes() for p in source_as_is(SOURCE, SHOTS, len(SOURCE), 0)}) == len(SOURCE)


def test_mixup_stays_between_the_shots():
    mixed = pose_mixup(None, SHOTS, 500, 0)
    assert (mixed <= SHOTS.max(0) + 1e-6).all()
    assert (mixed >= SHOTS.min(0) - 1e-6).all()


def test_mean_shift_takes_the_shots_mean_and_the_sources_covariance():
    mean_D, cov_DD = moments(mean_shift(SOURCE, SHOTS, len(SOURCE), 0))
    np.testing.assert_allclose(mean_D, moments(SHOTS)[0], atol=1e-6)
    np.testing.assert_allclose(cov_DD, moments(SOURCE)[1], atol=1e-6)


@pytest.mark.parametrize("shrink", [0.0, 0.2, 0.5, 1.0])
def test_coral_takes_the_shots_mean_and_the_covariance_between_both(shrink):
    mean_D, cov_DD = moments(coral(SOURCE, SHOTS, len(SOURCE), 0, shrink))
    np.testing.assert_allclose(mean_D, moments(SHOTS)[0], atol=1e-6)
    np.testing.assert_allclose(cov_DD, (1 - shrink) * moments(SOURCE)[1] + shrink * moments(SHOTS)[1], atol=1e-6)


def test_coral_without_shots_covariance_is_mean_shift():
    np.testing.assert_allclose(coral(SOURCE, SHOTS, 100, 5, shrink=0), mean_shift(SOURCE, SHOTS, 100, 5), atol=1e-5)


def test_coral_is_the_shortest_way():
    """It moves poses by as much as the Wasserstein distance of the Gaussians asks, no more."""
    moved = coral(SOURCE, SHOTS, len(SOURCE), 0, shrink=1)
    cost = ((moved - source_as_is(SOURCE, SHOTS, len(SOURCE), 0)) ** 2).sum((1, 2)).mean()
    assert cost == pytest.approx(frechet_distance(SOURCE, moved), rel=1e-3)


def test_coral_keeps_the_pelvis_between_the_hips():
    moved = coral(SOURCE, SHOTS, 100, 0)
    np.testing.assert_allclose(moved[:, 2], (moved[:, 9] + moved[:, 12]) / 2, atol=1e-5)


@pytest.mark.parametrize("method", [pose_mixup, coral])
def test_one_shot_is_too_few_for_a_spread(method):
    with pytest.raises(DataError, match=r"at least (two|2)"):
        method(SOURCE, SHOTS[:1], 10, 0)


def test_empty_sets_are_named():
    with pytest.raises(DataError, match="source poses: at least 1 wanted, found 0"):
        source_as_is(SOURCE[:0], SHOTS, 10, 0)
    for method in (shots_alone, mean_shift):
        with pytest.raises(DataError, match="shots: at least 1 wanted, found 0"):
            method(SOURCE, SHOTS[:0], 10, 0)
