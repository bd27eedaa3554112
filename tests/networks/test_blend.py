"""A blend: who stays, what shots do to the others, mirror images, and the map at the end."""

import pytest
import torch

from flexpose_ray.networks.blend import NUMBERS, Blend
from flexpose_ray.pose.skeleton import BODY_15

N = 4000
POSES = torch.rand(N, 15, 2, generator=torch.Generator().manual_seed(0))
DRAWN = torch.randn(N, NUMBERS, generator=torch.Generator().manual_seed(1))
SHOTS = torch.rand(3, 15, 2, generator=torch.Generator().manual_seed(2)) + 10  # far from all poses


def blend(**settings) -> Blend:
    made = Blend(3, 15, **{"prior": 0.0, "mirror": False, **settings})
    made.shots_SJ2.copy_(SHOTS)
    made.flip_J.copy_(torch.as_tensor(BODY_15.flip))
    made.mean_J2.copy_(POSES.mean(0))
    return made


def test_without_spread_poses_lie_between_two_different_shots():
    found = blend()(POSES, DRAWN)
    on_line = []
    for a, b in ((0, 1), (0, 2), (1, 2)):
        way = SHOTS[b] - SHOTS[a]
        share_N = ((found - SHOTS[a]) * way).sum((1, 2)) / way.square().sum()
        off_N = (found - SHOTS[a] - share_N[:, None, None] * way).abs().amax((1, 2))
        on_line.append((off_N < 1e-4) & (share_N > -1e-4) & (share_N < 1.0001))
    assert torch.stack(on_line).any(0).all()
    assert all(0.25 < line.float().mean() < 0.42 for line in on_line)  # every pair as often as the others


def test_most_poses_are_near_one_of_their_two_shots():
    found = blend()(POSES, DRAWN)
    scale = (SHOTS[:, None] - SHOTS).square().sum((2, 3)).max() ** 0.5
    near_N = torch.stack([(found - shot).square().sum((1, 2)) ** 0.5 for shot in SHOTS]).amin(0) < 0.1 * scale
    assert 0.5 < near_N.float().mean() < 0.8


def test_heavier_shots_are_chosen_more_often_and_never_twice_in_a_pair():
    made = blend()
    made.weight_S.copy_(torch.tensor([0.6, 0.3, 0.1]))
    one_N, other_N = made._two_shots(*torch.rand(2, 50_000, generator=torch.Generator().manual_seed(3)))
    assert (one_N != other_N).all()
    assert (torch.bincount(one_N) / len(one_N)).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.01)
    after_first = torch.bincount(other_N[one_N == 0], minlength=3) / (one_N == 0).sum()
    assert after_first.tolist() == pytest.approx([0, 0.75, 0.25], abs=0.01)


@pytest.mark.parametrize("prior", [0.0, 0.25, 1.0])
def test_a_share_of_the_poses_stays(prior):
    found = blend(prior=prior)(POSES, DRAWN)
    assert (found == POSES).all((1, 2)).float().mean() == pytest.approx(prior, abs=0.03)


def test_a_pose_keeps_its_own_way_from_the_mean_under_a_map():
    own = blend()
    own.own_DD.copy_(0.4 * torch.eye(30))
    off = own(POSES, DRAWN) - blend()(POSES, DRAWN)
    torch.testing.assert_close(off, 0.4 * (POSES - POSES.mean(0)), atol=1e-5, rtol=0)


def test_mirrored_poses_are_mirror_images_of_what_they_were():
    plain, both = blend()(POSES, DRAWN), blend(mirror=True)(POSES, DRAWN)
    same_N = (plain == both).all((1, 2))
    assert 0.45 < same_N.float().mean() < 0.55
    mirrored = plain[~same_N][:, list(BODY_15.flip)] * torch.tensor([-1, 1]) + torch.tensor([1, 0])
    torch.testing.assert_close(both[~same_N], mirrored)


def test_the_map_comes_last():
    made = blend(prior=1.0)
    made.map_DD.mul_(2)
    made.shift_D.add_(1)
    torch.testing.assert_close(made(POSES, DRAWN), 2 * POSES + 1)


def test_the_most_extreme_numbers_choose_shots_that_exist():
    extreme = torch.tensor([[9.0] * NUMBERS, [-9.0] * NUMBERS])
    assert torch.isfinite(blend()(POSES[:2], extreme)).all()
