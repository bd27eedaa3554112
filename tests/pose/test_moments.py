"""Mean and covariance are the textbook's, with weights and without."""

import numpy as np
import pytest

from flexpose_ray.pose.moments import moments

POSES = np.random.default_rng(0).normal(0.5, 0.1, (50, 15, 2)).astype(np.float32)


def test_moments_are_numpy_s():
    flat = POSES.reshape(50, -1).astype(np.float64)
    mean_D, cov_DD = moments(POSES)
    np.testing.assert_allclose(mean_D, flat.mean(0), atol=1e-12)
    np.testing.assert_allclose(cov_DD, np.cov(flat, rowvar=False), atol=1e-12)
    assert mean_D.dtype == cov_DD.dtype == np.float64


@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_weights_count_relative_to_each_other_and_leave_the_covariance_unbiased(scale):
    share_N1 = np.random.default_rng(1).random((50, 1))
    share_N1 /= share_N1.sum()
    flat = POSES.reshape(50, -1).astype(np.float64)
    mean_D, cov_DD = moments(POSES, scale * share_N1[:, 0])
    centred = flat - (share_N1 * flat).sum(0)
    np.testing.assert_allclose(mean_D, (share_N1 * flat).sum(0), atol=1e-12)
    np.testing.assert_allclose(cov_DD, (share_N1 * centred).T @ centred / (1 - (share_N1**2).sum()), atol=1e-12)


def test_equal_weights_are_no_weights():
    for weighted, plain in zip(moments(POSES, np.full(50, 3.0)), moments(POSES), strict=True):
        np.testing.assert_allclose(weighted, plain, atol=1e-12)
