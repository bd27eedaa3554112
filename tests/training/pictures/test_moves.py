"""Pictures that are moved at random, and their poses with them."""

import torch

from flexpose_ray.training.pictures.moves import moved, moved_poses, recoloured


def test_a_copy_is_moved_within_its_bounds():
    dot = torch.zeros(200, 3, 64, 64)
    dot[:, :, 30:34, 30:34] = 1  # at the middle
    out = moved(dot, torch.rand(200, 5, generator=torch.Generator().manual_seed(0)))[:, 0]
    rows, columns = (out.sum(axis) @ torch.arange(64.0) / out.sum((1, 2)) for axis in (2, 1))
    for place in (rows, columns):
        assert (place - 31.5).abs().max() < 0.1 * 64 * 1.3 * 2**0.5 and place.std() > 2
    edge = torch.zeros(2, 3, 64, 64)
    edge[:, :, :, :32] = 1
    same, mirrored = moved(edge, torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.9], [0.5, 0.5, 0.5, 0.5, 0.1]]))
    torch.testing.assert_close(same, edge[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(mirrored, edge[0].flip(2), atol=1e-4, rtol=0)


def test_a_pose_follows_its_picture_and_changes_sides_in_a_mirror():
    """Two joints as dots in two channels, away from the middle, so that every part of a move shows."""
    jitter_N5 = torch.rand(64, 5, generator=torch.Generator().manual_seed(1))
    dots = torch.zeros(64, 3, 64, 64)
    dots[:, 0, 38:42, 22:26], dots[:, 1, 26:30, 42:46] = 1, 1
    poses_NJ2 = torch.tensor([[24 / 64, 40 / 64], [44 / 64, 28 / 64]]).expand(64, 2, 2)
    seen = moved(dots, jitter_N5)[:, :2]
    centre_S = (torch.arange(64) + 0.5) / 64
    mass = seen.sum((2, 3))
    seen_NJ2 = torch.stack([seen.sum(axis) @ centre_S / mass for axis in (2, 3)], 2)
    mirrored_N = jitter_N5[:, 4] < 0.5
    assert 10 < mirrored_N.sum() < 54
    seen_NJ2 = torch.where(mirrored_N[:, None, None], seen_NJ2.flip(1), seen_NJ2)
    torch.testing.assert_close(moved_poses(poses_NJ2, jitter_N5, (1, 0)), seen_NJ2, atol=0.01, rtol=0)


def test_colours_change_by_channel_and_black_stays():
    pictures = torch.full((100, 3, 4, 4), -0.5)
    pictures[:, :, 0] = -1
    out = recoloured(pictures, torch.rand(100, 3, generator=torch.Generator().manual_seed(0)))
    assert (out[:, :, 0] == -1).all() and out.max() <= 1
    gain_N3 = (out[:, :, 1, 0] + 1) / 0.5
    assert 0.6 <= gain_N3.min() < 0.7 and 1.5 < gain_N3.max() <= 1.65
    assert (gain_N3.std(1) > 0).all()
