"""What shots and source together say of the target's moments."""

import numpy as np
import pytest

from flexpose_ray.methods.target_moments import choose_shrink, shrunk_moments
from flexpose_ray.pose.moments import moments


def cloud(count, seed=0, mean=0.5, spread=0.1):
    return np.random.default_rng(seed).normal(mean, spread, (count, 15, 2)).astype(np.float32)


def test_sure_shots_set_the_mean_and_unsure_ones_leave_it_to_the_source():
    source = moments(cloud(400, 0, 0.5))
    sure, unsure = moments(cloud(40, 1, 0.7, 0.01)), moments(cloud(2, 2, 0.5, 0.2))
    np.testing.assert_allclose(shrunk_moments(source, sure, 40, 0.2)[0], sure[0], atol=0.001)
    np.testing.assert_allclose(shrunk_moments(source, unsure, 1, 0.2)[0], source[0], atol=1e-12)
    apart = ((sure[0] - source[0]) ** 2).sum()
    chance = np.trace(sure[1]) / (3 * apart)
    mean_D = shrunk_moments(source, sure, 3, 0.2)[0]
    np.testing.assert_allclose(mean_D, sure[0] + chance * (source[0] - sure[0]), atol=1e-12)


@pytest.mark.parametrize("shrink", [0.0, 0.3, 1.0])
def test_covariance_lies_between_the_source_s_and_the_shots(shrink):
    source, shots = moments(cloud(400)), moments(cloud(12, 1, 0.6, 0.03))
    wanted = (1 - shrink) * source[1] + shrink * shots[1]
    np.testing.assert_allclose(shrunk_moments(source, shots, 12, shrink)[1], wanted, atol=1e-12)


def test_shots_that_are_the_source_need_no_division():
    source = moments(cloud(50))
    assert all(np.isfinite(t).all() for t in shrunk_moments(source, source, 50, 0.2))


def test_a_diverse_target_leaves_its_spread_to_the_source_and_a_narrow_one_does_not():
    rng = np.random.default_rng(0)
    source_DD = np.diag(np.linspace(0.5, 2, 30))
    like_the_source = rng.multivariate_normal(np.zeros(30), source_DD, 26)
    assert choose_shrink(source_DD, like_the_source) <= 0.3
    assert choose_shrink(source_DD, 0.05 * like_the_source) >= 0.8
    assert choose_shrink(source_DD, like_the_source[:3]) == 0.2
