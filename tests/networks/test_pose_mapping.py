"""The mapping of a taught generator: a flow's poses decide the images, and no training changes the flow."""

import copy

import numpy as np
import pytest
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow, PoseStudent, joint_means
from flexpose_ray.networks.pose_mapping import PoseMapping, as_buffers
from flexpose_ray.pose.skeleton import BODY_15

MEANS = [[1, 3, 6], [2, 9, 12]]
POSES = torch.as_tensor(np.random.default_rng(0).uniform(0.2, 0.8, (50, 15, 2)).astype(np.float32))


def flow(**config) -> PoseFlow:
    torch.manual_seed(0)
    made = PoseFlow("body_15", MEANS, 8, 16, 1, **{"student": (12, 16, 1), **config})
    made.fit_scale(POSES.numpy())
    for parameter in made.student.parameters():  # nothing is left at the zero that it starts from
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made.eval()


def mapping(w_size=10, z_size=64) -> PoseMapping:
    made = PoseMapping(z_size, w_size, flow().config, (16, 24, 1))
    made.learn_from(flow())
    return made


@torch.inference_mode()
def test_a_latent_has_the_pose_that_the_flow_gives_its_first_numbers():
    made, z = mapping(), torch.randn(5, 64)
    length = z.square().mean(1, keepdim=True).sqrt()
    wanted, _ = flow()((z / length)[:, :26])
    torch.testing.assert_close(made.poses(z), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(made.poses(3 * z), wanted, rtol=1e-5, atol=1e-5)
    assert wanted.flatten(1).std(0).min() > 1e-4


@torch.inference_mode()
def test_w_is_that_of_the_pose_and_sees_small_moves():
    made, z = mapping(), torch.randn(5, 64)
    poses = made.poses(z)
    assert torch.equal(made(z), made.of_poses(poses))
    assert made(z).shape == (5, 10)
    moved = poses.clone()
    moved[:, 4, 0] += 0.01
    assert (made.of_poses(moved) - made(z)).abs().amax(1).min() > 1e-4
    moved = poses.clone()
    moved[:, 1] += 1.0  # a mean of two others says nothing of its own
    assert torch.equal(made.of_poses(moved), made(z))


def test_the_flow_s_weights_are_not_trained_and_gradients_still_reach_the_latent():
    made = mapping().train().requires_grad_(True)
    assert {name.partition(".")[0] for name, _ in made.named_parameters()} == {"net"}
    before = copy.deepcopy(made.teacher.state_dict())
    z = torch.randn(4, 64, requires_grad=True)
    optimizer = torch.optim.Adam(made.parameters(), lr=0.1)
    made(z).square().sum().backward()
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in made.teacher.state_dict().items())
    assert z.grad.abs().sum() > 0


def test_poses_stay_float32_under_autocast():
    made, z = mapping(), torch.randn(8, 64)
    with torch.inference_mode():
        wanted = made.poses(z)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(made.poses(z), wanted)


def test_it_stores_the_student_and_not_the_velocity_field():
    names = {name.split(".")[1] for name in mapping().state_dict() if name.startswith("teacher.")}
    assert names == {"student", "mean", "std"}
    assert set(mapping().teacher.config) == {"skeleton_name", "means", "student"}


def test_a_latent_that_is_too_small_for_the_flow_is_refused():
    with pytest.raises(ConfigError, match="z_size: 25 is less than the 26 numbers"):
        PoseMapping(25, 10, flow().config, (16, 24, 1))


def test_a_student_is_a_flow_s_half():
    student = PoseStudent("body_15", MEANS, (12, 16, 1))
    kept = {name: value for name, value in flow().state_dict().items() if not name.startswith("field")}
    student.load_state_dict(kept)
    z = torch.randn(3, 26)
    for ours, theirs in zip(student(z), flow()(z), strict=True):
        assert torch.equal(ours, theirs)


def test_joints_come_back_from_coordinates_with_the_means_in_their_places():
    poses = POSES.clone()
    for joint, a, b in MEANS:
        poses[:, joint] = (poses[:, a] + poses[:, b]) / 2
    assert joint_means(poses.numpy(), BODY_15) == MEANS
    made = flow()
    torch.testing.assert_close(made.joints_at(made.coordinates(poses)), poses, rtol=1e-5, atol=1e-5)


def test_as_buffers_keeps_names_and_values():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    before, x = {name: v.clone() for name, v in net.state_dict().items()}, torch.randn(2, 3)
    wanted = net(x)
    after = as_buffers(net).state_dict()
    assert list(net.parameters()) == []
    assert after.keys() == before.keys() and all(torch.equal(after[name], v) for name, v in before.items())
    assert torch.equal(net(x), wanted)


def test_config_and_state_make_the_same_taught_generator():
    torch.manual_seed(1)
    made = Generator.taught_by(flow(), size=16, z_size=64, w_size=12, base=64, most=16, pose_mapping=(16, 24, 1))
    other = Generator(**made.config)
    other.load_state_dict(made.state_dict())
    z = torch.randn(2, 64)
    assert torch.equal(other(z), made(z))
    assert made(z).shape == (2, 3, 16, 16)
