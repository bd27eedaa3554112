"""The flow's network: coordinates to poses and back, joints that are means, one step and many."""

import numpy as np
import pytest
import torch

from flexpose_ray.networks.pose_flow import PoseFlow, joint_means
from flexpose_ray.pose.geometry import crop
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.formats.synthetic import sample_synthetic

POSES_NJ2 = sample_synthetic("rowing?count=200").keypoints_NJ2
NECK = [[1, 3, 6]]


def poses_with_means() -> np.ndarray:
    poses_NJ2 = POSES_NJ2.copy()
    poses_NJ2[:, 1] = (poses_NJ2[:, 3] + poses_NJ2[:, 6]) / 2
    return crop(poses_NJ2)[0]


def flow(means=()) -> PoseFlow:
    torch.manual_seed(0)
    made = PoseFlow("body_15", list(means), 16, 32, 1, (16, 32, 1))
    made.fit_scale(poses_with_means())
    return made


def test_joints_that_are_means_of_a_pair_in_all_poses_are_found():
    assert NECK[0] in joint_means(poses_with_means(), BODY_15)
    apart_NJ2 = poses_with_means()
    apart_NJ2[0, 1, 0] += 0.01
    assert NECK[0] not in joint_means(apart_NJ2, BODY_15)
    assert joint_means(np.random.default_rng(0).random((9, 68, 2)), FACE_68) == []


@pytest.mark.parametrize("means", [[], NECK])
def test_coordinates_are_those_of_the_free_joints_at_mean_0_and_spread_1_and_lead_back(means):
    poses = torch.as_tensor(poses_with_means())
    made = flow(means)
    assert made.z_size == 2 * (15 - len(means))
    x_NZ = made.coordinates(poses)
    assert x_NZ.mean(0).abs().max() < 1e-3
    spread = x_NZ.std(0)
    assert ((spread - 1).abs() < 1e-3).sum() >= made.z_size - 2  # one that never moves stays at 0
    torch.testing.assert_close(made.joints_at(x_NZ), poses, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.poses(x_NZ), poses, rtol=0, atol=1e-5)


def test_poses_fill_the_canvas_and_means_are_means():
    keypoints_NJ2, confidence_NJ = flow(NECK)(torch.randn(50, 28))
    low, high = keypoints_NJ2.amin(1), keypoints_NJ2.amax(1)
    torch.testing.assert_close((high - low).amax(1), torch.full((50,), 0.8))
    torch.testing.assert_close((high + low) / 2, torch.full((50, 2), 0.5))
    torch.testing.assert_close(keypoints_NJ2[:, 1], (keypoints_NJ2[:, 3] + keypoints_NJ2[:, 6]) / 2)
    assert (confidence_NJ.min() >= 0) and (confidence_NJ.max() <= 1) and confidence_NJ.shape == (50, 15)


def test_confidence_falls_with_the_expected_error():
    made = flow()
    with torch.no_grad():
        made.student.leave.weight.zero_()
        made.student.skip.weight.zero_()
        made.student.leave.bias[30:] = torch.tensor([0.05, 1e-6] + [0.5] * 13).log()
        _, confidence_NJ = made(torch.randn(4, 30))
    wanted = torch.tensor([np.exp(-1), 1.0] + [np.exp(-10)] * 13, dtype=torch.float32)
    torch.testing.assert_close(confidence_NJ, wanted.expand(4, 15), rtol=1e-3, atol=1e-4)


def test_following_the_field_is_heun_s_method():
    made = flow()
    made.velocity = lambda x_NZ, t_N1: x_NZ + t_N1  # x(1) = x(0) e + e - 2
    z_NZ = torch.randn(5, 30)
    exact = z_NZ * np.e + np.e - 2
    errors = [(made.solve(z_NZ, steps) - exact).abs().max().item() for steps in (12, 24)]
    assert errors[1] < 0.6 * errors[0] < 0.1


def test_a_flow_has_no_style_layers():
    made = flow()
    assert (made.n_layers, made.style_sizes) == (0, [])
