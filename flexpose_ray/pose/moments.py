"""Mean and covariance of pose sets: the one place where they are estimated."""

from __future__ import annotations

import numpy as np

Moments = tuple[np.ndarray, np.ndarray]  # mean (D,) and covariance (D, D), float64, D = 2J


def moments(poses_NJ2: np.ndarray, weight_N: np.ndarray | None = None) -> Moments:
    """Mean and unbiased covariance of poses, read as points with D = 2J coordinates.

    Args:
        poses_NJ2: at least two poses; any floating type, counted in float64. (N, D) does as well.
        weight_N: how much each pose counts, relative to the others; None: all alike.

    Returns:
        mean_D and covariance_DD, float64. The sum of products is divided by N - 1; with weights w that add up to 1, the
        weighted sum is divided by 1 - sum(w^2).
    """
    x_ND = np.asarray(poses_NJ2, np.float64).reshape(len(poses_NJ2), -1)
    return np.average(x_ND, 0, weight_N), np.cov(x_ND, rowvar=False, aweights=weight_N)
