"""alpha: both implementations draw the same picture, and the picture is the one that the formula promises."""

import colorsys
import math

import cv2
import numpy as np
import pytest
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.alpha import Alpha, to_uint8
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.skeleton import BODY_15

RED = colorsys.hsv_to_rgb(0, 1, 1)  # the first limb, head to neck


def upright(head=(0.5, 0.25), rest=(0.5, 0.75)):
    """A pose with one limb, head to neck; all other limbs are one dot at the neck."""
    pose_J2 = np.tile(np.float32(rest), (15, 1))
    pose_J2[0] = head
    return pose_J2


def drawn(alpha, pose_J2):
    """Torch's picture of one pose, (C, H, W)."""
    return alpha.draw(torch.as_tensor(pose_J2)[None])[0]


@pytest.mark.parametrize("size", [16, 33, 64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("profile", ["gaussian", "exponential", "line"])
@pytest.mark.parametrize("skeleton", ["body_15", "face_68"])
def test_torch_and_opencv_draw_the_same(skeleton, profile, channels, size):
    rng = np.random.default_rng(size)
    for width in (1 / 128, 1 / 32, 0.15):
        alpha = Alpha(skeleton, size, channels, profile, width)
        shape = (2, alpha.skeleton.n_joints, 2)
        poses = [rng.uniform(0.1, 0.9, shape), rng.normal(0.5, 0.6, shape), rng.normal(0.5, 10, shape)]
        poses_NJ2 = np.concatenate(poses).astype(np.float32)
        poses_NJ2[0, 1] = poses_NJ2[0, 0]  # a limb without length
        by_torch = to_uint8(alpha.draw(torch.as_tensor(poses_NJ2))).astype(int)
        by_opencv = np.stack([alpha.draw_cv(pose_J2) for pose_J2 in poses_NJ2]).astype(int)
        assert by_torch.shape == (6, size, size, channels)
        assert np.abs(by_torch - by_opencv).max() <= 1
        assert by_torch[0].max() > 100


def test_a_line_has_full_colour_in_its_middle_and_the_background_is_minus_one():
    image = drawn(Alpha(size=64, profile="line", width=1 / 16), upright())
    for row in (20, 32, 40):
        assert image[:, row, 31].tolist() == image[:, row, 32].tolist() == [2 * c - 1 for c in RED]
    assert (image[:, :, :24] == -1).all()
    assert (image[:, :8] == -1).all()
    assert image.min() == -1


def test_a_gaussian_limb_fades_by_the_formula_and_ends_at_three_widths():
    width = 1 / 32
    image = drawn(Alpha(size=64, profile="gaussian", width=width), upright())
    distance_W = np.abs((np.arange(64) + 0.5) / 64 - 0.5)
    wanted_W = np.where(distance_W < 3 * width, np.exp(-(distance_W**2) / (2 * width**2)), 0) * 2 - 1
    np.testing.assert_allclose(image[0, 32].numpy(), wanted_W, atol=1e-6)
    np.testing.assert_allclose(image[1:, 32].numpy(), -1, atol=1e-6)
    assert (image[0, 32] > -1).sum() == 12  # three widths of two pixels on either side


def test_a_line_s_edge_is_blended_over_one_pixel():
    image = drawn(Alpha(size=64, channels=1, profile="line", width=4.2 / 64), upright())
    share_W = (image[0, 32] + 1) / 2
    np.testing.assert_allclose(share_W[32:38].numpy(), [1, 1, 1, 1, 0.2, 0], atol=1e-4)


@pytest.mark.parametrize("profile", ["gaussian", "exponential", "line"])
def test_every_channel_takes_the_brightest_limb(profile):
    alpha = Alpha(size=64, profile=profile)
    dot = (drawn(alpha, upright())[:, 48, 32] + 1) / 2  # where all other limbs meet
    white = (drawn(Alpha(size=64, channels=1, profile=profile), upright())[:, 48, 32] + 1) / 2
    np.testing.assert_allclose(dot.numpy(), white.item() * alpha.colors_LC.max(0), atol=1e-6)


def side_of(limb):
    """Joints on the side of a limb's second end, when the skeleton is cut there."""
    (start, side), grown = limb, True
    side = {side}
    while grown:
        reached = {j for other in BODY_15.limbs if other != limb and side & set(other) for j in other}
        grown, side = not reached <= side, side | reached
    assert start not in side
    return sorted(side)


def test_colours_are_the_limbs_own():
    alpha = Alpha(size=64, profile="line", width=1 / 32)
    seen = set()
    for limb, color_C in zip(BODY_15.limbs, alpha.colors_LC, strict=True):
        pose_J2 = np.tile(np.float32([0.2, 0.5]), (15, 1))
        pose_J2[side_of(limb)] = 0.8, 0.5  # so that every other limb is a dot
        found_C = drawn(alpha, pose_J2)[:, 32, 32].numpy()
        np.testing.assert_allclose(found_C, color_C * 2 - 1, atol=1e-6)
        seen.add(tuple(found_C))
    assert len(seen) == 14


@pytest.mark.parametrize("profile", ["gaussian", "line"])
def test_a_limb_that_leaves_the_canvas_is_drawn_up_to_its_edge(profile):
    alpha = Alpha(size=32, channels=1, profile=profile)
    inside = drawn(alpha, upright((0.5, 0.5), (0.5, 3.0)))
    assert inside[0, 16:, 16].min() == inside[0, 20, 16] > 0.5
    assert inside[0, :8].max() == -1
    assert drawn(alpha, upright((-3, -2), (-3, 4))).max() == -1


def test_an_exponential_limb_fades_by_the_formula_and_its_points_can_be_learned_on_the_limb_itself():
    width = 0.04
    image = drawn(Alpha(size=64, profile="exponential", width=width), upright())
    for column in (33, 40, 52):
        value = math.exp(-((column + 0.5) / 64 - 0.5) / width)
        assert image[0, 32, column] == pytest.approx(2 * value - 1, abs=0.01)
    assert (image[0, 32, 54:] == -1).all()  # from eight widths on
    ends = torch.tensor(upright((0.5078125, 0.25), (0.5078125, 0.75)))[None].requires_grad_()  # along pixels' centres
    Alpha(size=64, profile="exponential", width=width).draw(ends).sum().backward()
    assert ends.grad.isfinite().all()


def test_x_runs_to_the_right_and_y_down():
    image = drawn(Alpha(size=32, channels=1, profile="line"), upright((0.9, 0.2), (0.9, 0.4)))[0]
    rows, columns = (image > 0).nonzero(as_tuple=True)
    assert columns.float().mean() > 27
    assert 6 < rows.float().mean() < 13


def test_white_limbs_mirror_with_the_pose():
    poses_NJ2 = np.random.default_rng(0).uniform(0.1, 0.9, (3, 15, 2)).astype(np.float32)
    alpha = Alpha(size=32, channels=1)
    mirrored = alpha.draw(torch.as_tensor(flip(poses_NJ2, BODY_15)))
    np.testing.assert_allclose(mirrored.numpy(), alpha.draw(torch.as_tensor(poses_NJ2)).flip(3).numpy(), atol=1e-5)


@pytest.mark.parametrize("profile", ["gaussian", "exponential", "line"])
def test_gradients_follow_the_picture(profile):
    """Derivatives agree with difference quotients, so that a loss on images moves joints the right way."""
    rng = np.random.default_rng(1)
    pose = torch.as_tensor(rng.uniform(0.2, 0.8, (1, 15, 2)).astype(np.float32)).requires_grad_()
    alpha = Alpha(size=64, profile=profile, width=1 / 16)
    slope = torch.linspace(0, 1, 64)  # so that the loss knows where limbs are

    def loss(k):
        return (alpha.draw(k) * (slope + slope[:, None] ** 2)).mean()

    loss(pose).backward()
    slopes, quotients = [], []
    for way in torch.as_tensor(rng.standard_normal((30, 1, 15, 2)).astype(np.float32)):
        with torch.no_grad():
            quotients.append(((loss(pose + 1e-3 * way) - loss(pose - 1e-3 * way)) / 2e-3).item())
        slopes.append((pose.grad * way).sum().item())
    assert np.corrcoef(slopes, quotients)[0, 1] > 0.98
    assert np.std(slopes) == pytest.approx(np.std(quotients), rel=0.1)


@pytest.mark.parametrize("profile", ["gaussian", "exponential", "line"])
def test_gradients_stay_finite_where_joints_coincide(profile):
    pose = torch.full((1, 15, 2), 0.5 + 0.5 / 16, requires_grad=True)  # on a pixel's centre: distance 0
    Alpha(size=16, profile=profile).draw(pose).square().sum().backward()
    assert pose.grad.isfinite().all()


def test_images_are_float32_channels_last():
    image = Alpha(size=16).draw(torch.rand(4, 15, 2, dtype=torch.float64))
    assert image.dtype == torch.float32
    assert image.shape == (4, 3, 16, 16)
    assert image.is_contiguous(memory_format=torch.channels_last)


def test_bytes_are_what_opencv_writes_and_values_are_clipped():
    alpha = Alpha(size=16, profile="line", width=1 / 8)
    picture = alpha.draw_cv(upright())
    assert picture.dtype == np.uint8
    assert cv2.imencode(".png", picture)[0]
    scale = torch.tensor([-7.0, -1, 0, 1, 7]).view(1, 1, 1, 5)
    assert to_uint8(scale).ravel().tolist() == [0, 0, 128, 255, 255]


def test_config_makes_the_same_alpha():
    alpha = Alpha("face_68", 32, 1, "line", 0.1)
    assert Alpha(**alpha.config) == alpha


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"skeleton_name": "hand_7"}, "hand_7.*body_15, coco_17, face_68"),
        ({"profile": "dashed"}, "dashed.*gaussian, exponential, line"),
        ({"channels": 2}, "2 channels"),
        ({"width": 0}, "must be positive"),
        ({"width": float("nan")}, "must be positive"),
        ({"size": -1}, "must be positive"),
    ],
)
def test_what_cannot_be_drawn_is_refused(setting, named):
    with pytest.raises(ConfigError, match=named):
        Alpha(**setting)
