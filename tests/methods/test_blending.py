"""The fit of a blend: moments between what the poses have and what the shots tell."""

import numpy as np
import pytest
import torch

from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.methods.blending import BlendSettings, fit_blend, nearness, weights
from flexpose_ray.methods.target_moments import between_moments
from flexpose_ray.networks.blend import NUMBERS
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.moments import moments
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats.synthetic import sample_synthetic

SOURCE = sample_synthetic("rowing?count=2000").keypoints_NJ2
TARGET = sample_synthetic("cycling?count=2000").keypoints_NJ2
SHOTS = TARGET[::170]


def blended(**settings) -> np.ndarray:
    source = moments(SOURCE)
    blend = fit_blend(
        SOURCE, source, SHOTS, BODY_15, BlendSettings(**{"mirror": False, "rarity": 0, **settings}), seed=0
    )
    return blend(torch.as_tensor(SOURCE), torch.as_tensor(latents(0, np.arange(len(SOURCE)), NUMBERS))).numpy()


def test_all_of_the_way_gives_the_between_moments():
    found = moments(blended(finish=1.0, shrink=0.5))
    wanted = between_moments(*(moments(poses) for poses in (SOURCE, SHOTS)), 0.5)
    for have, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(have, want, atol=1e-4, rtol=0)


def test_the_wanted_covariance_goes_from_that_of_the_source_to_that_of_the_shots():
    source, shots = (moments(poses) for poses in (SOURCE, SHOTS))
    way = [between_moments(source, shots, shrink) for shrink in (0.0, 0.3, 0.6, 1.0)]
    assert all(np.array_equal(mean_D, shots[0]) for mean_D, _ in way)
    np.testing.assert_allclose(way[0][1], source[1], atol=1e-9, rtol=0)
    np.testing.assert_allclose(way[-1][1], shots[1], atol=1e-6, rtol=0)
    apart = [np.linalg.norm(covariance_DD - shots[1]) for _, covariance_DD in way]
    assert apart == sorted(apart, reverse=True)


def test_the_wanted_covariance_is_one_where_two_shots_are_flat():
    source, two = (moments(poses) for poses in (SOURCE, SHOTS[:2]))
    _, covariance_DD = between_moments(source, two, 0.2)
    assert np.isfinite(covariance_DD).all() and np.linalg.eigvalsh(covariance_DD).min() > -1e-9


def test_it_is_nearer_to_the_target_than_source_and_mixup_around_the_shots():
    fd = {"source": frechet_distance(SOURCE, TARGET), "blend": frechet_distance(blended(), TARGET)}
    assert fd["blend"] < 0.5 * fd["source"]


def test_mirrored_shots_count_as_shots():
    both = blended(shrink=0.9, mirror=True).mean(0)
    shots = np.concatenate([SHOTS, flip(SHOTS, BODY_15)]).mean(0)
    one_sided = np.abs(SHOTS.mean(0) - SOURCE.mean(0)).max()
    assert np.abs(both - shots).max() < 0.3 * one_sided


@pytest.mark.parametrize("finish", [0.0, 0.5])
def test_finish_is_a_share_of_the_way(finish):
    none, part, full = (moments(blended(finish=f, shrink=0.0))[0] for f in (0.0, finish, 1.0))
    np.testing.assert_allclose(part, (1 - finish) * none + finish * full, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mirror", [False, True])
def test_poses_stay_as_far_as_shots_lie_among_them(mirror: bool):
    far, between, among = SHOTS, np.concatenate([SHOTS[::2], SOURCE[::400]]), SOURCE[1::170]
    shares = [nearness(SOURCE, shots, BODY_15, mirror, 0) for shots in (far, between, among)]
    assert shares[0] == 0 < shares[1] < shares[2]
    assert 0.3 < shares[2] < 0.8  # chance decides among equals


def test_shots_that_are_rare_in_the_source_weigh_less():
    shots = np.concatenate([SOURCE[:5], SHOTS[:1]])
    weight_S = weights(moments(SOURCE), shots, 1.0)
    assert weight_S.sum() == pytest.approx(1) and weight_S.argmin() == 5
    assert weights(moments(SOURCE), shots, 0.0) == pytest.approx(np.full(6, 1 / 6))
