"""beta: what it reads off heatmaps, and that training brings it closer."""

import numpy as np
import pytest
import torch

from flexpose_ray.networks.beta import Beta, read_heatmaps
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.training.beta import beta_step, spoil_images, vary_poses

POSES = torch.as_tensor(np.random.default_rng(0).uniform(0.2, 0.8, (40, 15, 2)).astype(np.float32))


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def blob(centre_2, spread, size=64):
    """Heatmap whose soft-argmax mass is a normal distribution: (1, 1, H, W)."""
    axis = (torch.arange(size) + 0.5) / size
    return -((axis - centre_2[0]) ** 2 + (axis[:, None] - centre_2[1]) ** 2)[None, None] / (2 * spread**2)


# ----- reading heatmaps


def test_a_point_is_read_where_it_is_with_full_confidence():
    heat = torch.zeros(2, 3, 8, 16)
    wanted = torch.tensor([[[0, 0], [15, 7], [4, 2]], [[8, 1], [3, 3], [0, 7]]])
    for n in range(2):
        for j in range(3):
            heat[n, j, wanted[n, j, 1], wanted[n, j, 0]] = 1e3
    keypoints, confidence = read_heatmaps(heat)
    torch.testing.assert_close(keypoints, (wanted + 0.5) / torch.tensor([16, 8]))
    assert confidence.min() > 0.98
    assert confidence.max() <= 1


def test_a_blob_between_pixels_is_read_at_its_middle():
    keypoints, _ = read_heatmaps(blob((0.412, 0.637), 0.03))
    torch.testing.assert_close(keypoints[0, 0], torch.tensor([0.412, 0.637]), rtol=0, atol=1e-4)


def test_a_spread_of_a_sixteenth_of_the_canvas_has_confidence_one_over_e():
    _, confidence = read_heatmaps(blob((0.5, 0.5), 1 / 16 / 2**0.5))  # x and y add up to 1/16
    assert confidence.item() == pytest.approx(np.exp(-1), abs=0.002)


def test_readings_are_exact_to_rounding_and_in_float32_under_autocast():
    torch.manual_seed(0)
    heat = torch.cat([blob((0.2 + 0.6 * torch.rand(1).item(), 0.5), 0.015 + 0.03 * i / 50) for i in range(50)])
    exact_keypoints, exact_confidence = read_heatmaps(heat.double())
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            keypoints, confidence = read_heatmaps(heat)
        assert keypoints.dtype == confidence.dtype == torch.float32
        torch.testing.assert_close(keypoints, exact_keypoints.float(), rtol=0, atol=1e-6)
        torch.testing.assert_close(confidence, exact_confidence.float(), rtol=0, atol=2e-6)


def test_a_flat_heatmap_says_the_middle_without_confidence():
    keypoints, confidence = read_heatmaps(torch.zeros(1, 2, 16, 16))
    torch.testing.assert_close(keypoints, torch.full((1, 2, 2), 0.5))
    assert confidence.max() < 0.01


def test_reading_is_differentiable_even_at_a_point():
    heat = torch.full((1, 1, 8, 8), -1e3)
    heat[0, 0, 3, 3] = 0
    heat.requires_grad_()
    sum(t.sum() for t in read_heatmaps(heat)).backward()
    assert heat.grad.isfinite().all()


# ----- the network


@pytest.mark.parametrize(("size", "joints", "channels"), [(16, 15, 3), (64, 68, 1)])
def test_images_become_keypoints_and_confidence(size, joints, channels):
    beta = Beta(joints, channels, width=4).eval()
    images = torch.randn(3, channels, size, size)
    keypoints, confidence = beta(images)
    assert keypoints.shape == (3, joints, 2)
    assert confidence.shape == (3, joints)
    assert keypoints.dtype == confidence.dtype == torch.float32
    assert 0 <= keypoints.min() <= keypoints.max() <= 1
    assert 0 <= confidence.min() <= confidence.max() <= 1
    assert [f.shape[2] for f in beta.features(images)] == [size // 2, size // 4, size // 8]


def test_images_get_gradients_through_beta():
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    Beta(width=4).eval()(images)[0].sum().backward()
    assert images.grad.abs().sum() > 0


def test_config_and_state_make_the_same_beta():
    beta = Beta(5, 1, 4).eval()
    other = Beta(**beta.config).eval()
    other.load_state_dict(beta.state_dict())
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(other(images)[0], beta(images)[0])


# ----- its training


def test_varied_poses_repeat_with_the_seed_and_stay_near_the_canvas():
    varied = vary_poses(POSES, rng())
    assert torch.equal(varied, vary_poses(POSES, rng()))
    assert not torch.equal(varied, vary_poses(POSES, rng(1)))
    assert varied.shape == POSES.shape
    assert varied.min() > -0.4
    assert varied.max() < 1.4
    assert (varied - POSES).abs().mean() > 0.02


def test_spoiled_images_repeat_with_the_seed_and_keep_their_limbs():
    images = Alpha(size=32).draw(POSES)
    spoiled = spoil_images(images, rng())
    assert torch.equal(spoiled, spoil_images(images, rng()))
    assert (spoiled - images).abs().mean() > 0.01
    both = torch.stack([images.flatten(), spoiled.flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.8


def test_a_short_training_brings_beta_closer():
    torch.manual_seed(0)
    poses = torch.as_tensor(sample_synthetic("rowing?count=300").keypoints_NJ2)
    beta, alpha, generator = Beta(width=8), Alpha(size=32), rng()
    optimizer = torch.optim.AdamW(beta.parameters(), lr=0.01)
    errors = []
    for _ in range(50):
        rows = torch.randint(len(poses), (16,), generator=generator)
        errors.append(beta_step(beta, optimizer, poses[rows], alpha, generator))
    assert errors[0] > 0.2  # as far as joints are from the middle of the canvas
    assert np.mean(errors[-5:]) < 0.4 * errors[0]
    with torch.inference_mode():
        found, confidence = beta.eval()(alpha.draw(poses))
    assert (found - poses).norm(dim=2).mean() < 0.4 * errors[0]
    assert confidence.mean() > 0.02


def test_the_same_seed_trains_the_same_beta():
    def train():
        torch.manual_seed(0)
        beta, generator = Beta(width=4), rng()
        optimizer = torch.optim.AdamW(beta.parameters(), lr=1e-3)
        return [beta_step(beta, optimizer, POSES[:8], Alpha(size=16), generator) for _ in range(3)]

    assert train() == train()


def test_joints_off_the_canvas_are_not_asked_for():
    torch.manual_seed(0)
    beta, far = Beta(width=4), POSES[:8].clone()
    far[:, 3] = 500.0  # no picture shows it
    assert beta_step(beta, torch.optim.SGD(beta.parameters(), lr=0.0), far, Alpha(size=16), rng()) < 1
    pull_J = beta.heat.weight.grad.flatten(1).norm(dim=1)
    assert pull_J[3] < 0.2 * pull_J[4:].mean()  # the weak wish for confidence remains
