"""Metrics against closed forms and against what they are known to see and to miss."""

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.judging.metrics import density_coverage, frechet_distance, mean_joint_error, mmd2, nearest_to_shots


def cloud(count, seed, mean=0.5, std=0.1, joints=15):
    return np.random.default_rng(seed).normal(mean, std, (count, joints, 2))


def exact_moments(count, seed, mean_D, std_D):
    """A sample whose own mean and covariance are exactly the given ones."""
    x_ND = np.random.default_rng(seed).normal(size=(count, len(mean_D)))
    x_ND -= x_ND.mean(0)
    x_ND = np.linalg.solve(np.linalg.cholesky(np.cov(x_ND, rowvar=False)), x_ND.T).T
    return (x_ND * std_D + mean_D).reshape(count, -1, 2)


def test_fd_of_gaussians_with_commuting_covariances():
    rng = np.random.default_rng(0)
    mean_a, mean_b, std_a, std_b = rng.random((4, 30))
    got = frechet_distance(exact_moments(200, 1, mean_a, std_a), exact_moments(300, 2, mean_b, std_b))
    assert got == pytest.approx(((mean_a - mean_b) ** 2).sum() + ((std_a - std_b) ** 2).sum(), rel=1e-9)


def test_fd_of_gaussians_with_rotated_covariance():
    """In 2D, tr (AB)^(1/2) = sqrt(tr AB + 2 sqrt(det AB))."""
    std_a, std_b = np.array([1.0, 3.0]), np.array([2.0, 0.5])
    turn = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
    a, b = exact_moments(100, 1, np.zeros(2), std_a), exact_moments(100, 2, np.zeros(2), std_b) @ turn.T
    cov_a, cov_b = np.diag(std_a**2), turn @ np.diag(std_b**2) @ turn.T
    root = np.sqrt(np.trace(cov_a @ cov_b) + 2 * np.sqrt(np.linalg.det(cov_a @ cov_b)))
    assert frechet_distance(a, b) == pytest.approx(np.trace(cov_a + cov_b) - 2 * root, rel=1e-9)


def test_fd_is_zero_on_itself_and_symmetric_even_where_covariances_are_singular():
    few_a, few_b = cloud(5, 0), cloud(7, 1)
    assert frechet_distance(few_a, few_a) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few_a, few_b) == pytest.approx(frechet_distance(few_b, few_a), rel=1e-6)


def test_mmd2_is_unbiased():
    """The same distribution averages to 0, with values on both sides of it."""
    values = [mmd2(cloud(60, s), cloud(60, 100 + s)) for s in range(40)]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(len(values))
    assert min(values) < 0 < max(values)
    assert mmd2(cloud(60, 0, mean=0.6), cloud(60, 1)) > 10 * np.std(values)


def test_mmd2_against_the_definition():
    a, b = cloud(20, 0), cloud(30, 1, mean=0.55)
    x, y = a.reshape(20, -1), b.reshape(30, -1)
    xx, yy, xy = (((u[:, None] - v[None]) ** 2).sum(-1) for u, v in ((x, x), (y, y), (x, y)))
    width = np.median(yy[np.triu_indices(30, 1)])
    within = sum(np.exp(-d[np.triu_indices(len(d), 1)] / width).mean() for d in (xx, yy))
    assert mmd2(a, b) == pytest.approx(within - 2 * np.exp(-xy / width).mean(), rel=1e-9)


def test_mmd2_above_its_limit_is_drawn_by_seed():
    a, b = cloud(5200, 0, joints=2), cloud(5200, 1, joints=2)
    assert mmd2(a, b, seed=1) == mmd2(a, b, seed=1) != mmd2(a, b, seed=2)


def test_order_of_the_poses_does_not_matter():
    a, b = cloud(50, 0), cloud(40, 1, mean=0.52)
    mixed = np.random.default_rng(2).permutation(a)
    for metric in (frechet_distance, mmd2, density_coverage):
        assert metric(mixed, b) == pytest.approx(metric(a, b), rel=1e-6)


def test_density_and_coverage_of_the_same_distribution_and_of_a_far_one():
    target = cloud(400, 0)
    density, coverage = density_coverage(cloud(400, 1), target)
    assert density == pytest.approx(1, abs=0.15)
    assert coverage > 0.9
    assert density_coverage(cloud(400, 1, mean=5), target) == (0, 0)


def test_copies_pass_mmd2_but_not_coverage_nor_the_distance_to_the_shots():
    target = cloud(600, 0)
    shots = target[:30]
    copies = shots[np.random.default_rng(1).integers(30, size=600)]
    honest = cloud(600, 2)
    assert mmd2(copies, target) < 0.05 * mmd2(cloud(600, 3, mean=0.7), target)  # blind
    assert density_coverage(copies, target)[1] < 0.7 * density_coverage(honest, target)[1]
    assert nearest_to_shots(copies, shots) == {"mean": 0, "median": 0, "copies": 1}
    assert nearest_to_shots(honest, shots)["copies"] == 0


def test_distance_to_the_shots_counts_joints_in_crop_units():
    shots = cloud(3, 0)
    moved = shots[:1] + np.array([0.03, 0.04])
    assert nearest_to_shots(moved, shots)["mean"] == pytest.approx(0.05)
    assert nearest_to_shots(moved, shots, bound=0.06)["copies"] == 1
    assert mean_joint_error(shots, shots + np.array([0.03, 0.04])) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (cloud(1, 0), cloud(9, 0), "at least 2"),
        (cloud(9, 0), cloud(9, 0, joints=14), "joint counts differ"),
        (np.full((9, 15, 2), np.nan), cloud(9, 0), "NaN"),
        (cloud(9, 0).reshape(9, 30), cloud(9, 0), "expected"),
    ],
)
def test_bad_sets_are_named(a, b, words):
    for metric in (frechet_distance, mmd2, density_coverage):
        with pytest.raises(DataError, match=words):
            metric(a, b)


def test_sets_that_a_metric_cannot_judge():
    with pytest.raises(DataError, match="one and the same"):
        mmd2(cloud(5, 0), np.zeros((5, 15, 2)))
    with pytest.raises(DataError, match="more than 5"):
        density_coverage(cloud(9, 0), cloud(5, 0))
    with pytest.raises(DataError, match="shapes differ"):
        mean_joint_error(cloud(5, 0), cloud(4, 0))
