"""The random part of a step: by its address, in shares, by weights; and what augmentation makes of images."""

import numpy as np
import pytest
import torch

from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.training.draw import Draw, augment


def test_a_step_s_draw_depends_on_its_address_alone():
    first, again = (Draw.of_step(3, 17, 8, 60, 16) for _ in range(2))
    for name, array in vars(first).items():
        np.testing.assert_array_equal(array, getattr(again, name))
        for seed, step in ((3, 18), (4, 17)):
            assert not np.array_equal(array, getattr(Draw.of_step(seed, step, 8, 60, 16), name))


@pytest.mark.parametrize("world", [1, 2, 4])
def test_shares_of_a_draw_add_up_to_it(world):
    whole = Draw.of_step(0, 5, 16, 60, 16)
    shares = [whole.share(rank, world) for rank in range(world)]
    for name, array in vars(whole).items():
        parts, axis = [getattr(share, name) for share in shares], 1 if name == "augment_N5" else 0
        if name in ("wanted_M", "wanted_mirror_M"):  # what all workers compare with
            assert all(np.array_equal(part, array) for part in parts)
        else:
            np.testing.assert_array_equal(np.concatenate(parts, axis), array)


def test_every_pose_and_both_sides_are_drawn():
    draws = [Draw.of_step(0, step, 32, 60, 16) for step in range(40)]
    assert set(np.concatenate([d.rows_N for d in draws])) == set(range(60))
    assert 0.4 < np.concatenate([d.mirror_N for d in draws]).mean() < 0.6
    assert not np.array_equal(draws[0].z_NZ, draws[0].z2_NZ)


def test_poses_are_drawn_in_proportion_to_their_weights():
    weights_N = np.repeat([1.0, 5.0, 0.0], 20)
    draws = [Draw.of_step(0, step, 64, 60, 16, weights_N) for step in range(30)]
    for name in ("rows_N", "wanted_M"):
        rows = np.concatenate([getattr(draw, name) for draw in draws])
        shares = np.bincount(rows // 20, minlength=3) / len(rows)
        assert shares == pytest.approx([1 / 6, 5 / 6, 0], abs=0.03)
        assert set(rows) == set(range(40))


def test_without_weights_the_draw_is_what_it_was_before_there_were_any():
    """Running trainings go on by it."""
    assert Draw.of_step(0, 0, 8, 60, 16).rows_N.tolist() == [2, 0, 36, 14, 21, 6, 11, 33]


def uniform(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_no_strength_is_no_augmentation():
    images = torch.randn(4, 3, 16, 16)
    assert augment(images, torch.zeros(4, 5), 0.0) is images


def test_background_stays_background():
    blank = torch.full((16, 3, 16, 16), -1.0)
    assert torch.equal(augment(blank, torch.rand(16, 5), 1.0), blank)
    drawn = Alpha(size=16).draw(torch.rand(16, 15, 2, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.2)
    moved = augment(drawn, torch.rand(16, 5, generator=torch.Generator().manual_seed(0)), 1.0)
    assert moved.min() >= -1 - 1e-6
    assert (moved - drawn).abs().max() > 0.5


def test_images_move_by_the_numbers_that_were_drawn():
    images = torch.rand(3, 3, 16, 16) * 2 - 1
    still = 0.5
    moved = augment(
        images, uniform([0.1, 1, still, still, still], [0.1, still, 1, still, still], [0.9, 1, 1, 1, 1]), 0.5
    )
    torch.testing.assert_close(moved[0, :, :, :-2], images[0, :, :, 2:], rtol=0, atol=1e-5)  # an eighth of the side
    torch.testing.assert_close(moved[1, :, :-2], images[1, :, 2:], rtol=0, atol=1e-5)
    torch.testing.assert_close(moved[2], images[2], rtol=0, atol=1e-5)  # 0.9 is not under the strength


def test_a_turned_and_grown_limb_is_where_geometry_says():
    dot = Alpha(size=64, channels=1, width=1 / 32).draw(torch.tensor([0.75, 0.5]).expand(1, 15, 2))
    for numbers, wanted in (((0, 0.5, 0.5, 1, 0.5), (0.5 + 0.25 * np.exp(-0.2), 0.5)), ((0, 0.5, 0.5, 0.5, 1), None)):
        wanted = wanted or (0.5 + 0.25 * np.cos(0.35), 0.5 - 0.25 * np.sin(0.35))
        mass = (augment(dot, uniform(numbers), 1.0)[0, 0] + 1).double()
        centre = (torch.arange(64) + 0.5) / 64
        found = (mass.sum(0) @ centre.double() / mass.sum()).item(), (mass.sum(1) @ centre.double() / mass.sum()).item()
        assert found == pytest.approx(wanted, abs=0.005)


def test_generated_images_get_gradients_through_augmentation():
    images = torch.randn(4, 3, 16, 16, requires_grad=True)
    augment(images, torch.rand(4, 5), 1.0).square().sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0
