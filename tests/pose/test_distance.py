"""The nearest shot is that of comparing all with all, wherever and however large the poses are."""

import numpy as np
import pytest

from flexpose_ray.pose import distance
from flexpose_ray.pose.distance import joint_distance, nearest_distance

RNG = np.random.default_rng(0)
SHOTS = RNG.random((26, 15, 2), dtype=np.float32)


def poses(count=500):
    """Some anywhere, some about a shot, some between two of them, some a shot itself."""
    parts = np.split(RNG.random((count, 15, 2)), 4)
    parts[1] = SHOTS[RNG.integers(26, size=len(parts[1]))] + 0.01 * (parts[1] - 0.5)
    parts[2] = (SHOTS[0] + SHOTS[1]) / 2 + 1e-5 * (parts[2] - 0.5)
    parts[3] = SHOTS[RNG.integers(26, size=len(parts[3]))]
    return np.concatenate(parts).astype(np.float32)


def by_hand(poses_NJ2, shots_SJ2):
    gap_NSJ2 = poses_NJ2[:, None].astype(np.float64) - shots_SJ2
    return np.linalg.norm(gap_NSJ2, axis=3).mean(2).min(1)


def test_joint_distance_is_the_mean_over_joints():
    a, b = poses(8), poses(8)
    wanted = [np.mean([np.hypot(*(p - q)) for p, q in zip(x, y, strict=True)]) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(joint_distance(a, b), wanted, rtol=1e-6)
    np.testing.assert_allclose(joint_distance(a[:1], b[0]), wanted[:1], rtol=1e-6)


@pytest.mark.parametrize("shots", [1, 2, 26])
@pytest.mark.parametrize(("size", "shift"), [(1, 0), (1e-4, 0), (1e5, 0), (1, 1000), (1, [0, -3])])
@pytest.mark.parametrize("floats", [1, 20_000, distance.FLOATS])
def test_the_nearest_is_that_of_comparing_all_with_all(shots, size, shift, floats, monkeypatch):
    monkeypatch.setattr(distance, "FLOATS", floats)
    poses_NJ2 = (poses(200) * size + shift).astype(np.float32)
    for shots_SJ2 in (SHOTS[:shots] * np.float32(size), (SHOTS[:shots] * size + shift).astype(np.float32)):
        found = nearest_distance(poses_NJ2, shots_SJ2)
        np.testing.assert_allclose(found, by_hand(poses_NJ2, shots_SJ2), rtol=1e-12, atol=0)


def test_numbers_that_are_not_finite_stay_with_their_pose():
    poses_NJ2 = poses(40)
    wanted = by_hand(poses_NJ2, SHOTS)
    poses_NJ2[3, 2, 1], poses_NJ2[5, 0, 0] = np.nan, np.inf
    wanted[[3, 5]] = np.nan, np.inf
    with np.errstate(invalid="ignore"):
        np.testing.assert_allclose(nearest_distance(poses_NJ2, SHOTS), wanted)


def test_without_shots_or_poses():
    assert nearest_distance(SHOTS, SHOTS[:0]).tolist() == [np.inf] * 26
    assert nearest_distance(SHOTS[:0], SHOTS).tolist() == []
