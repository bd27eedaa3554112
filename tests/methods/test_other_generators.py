"""The methods on generators of other forms: taught by a flow, with styles that shift, and with layers counted anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flexpose_ray.methods.base import AdaptationTask
from flexpose_ray.methods.flexpose import FlexPoseSettings, adapt
from flexpose_ray.methods.registry import METHODS
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow, joint_means
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.moments import moments
from flexpose_ray.sources.formats.synthetic import sample_synthetic

SOURCE = sample_synthetic("cycling?count=200").keypoints_NJ2
SHOTS = sample_synthetic("rowing?count=40").keypoints_NJ2[:12]
FEW = {"steps": 3, "batch": 8, "mixup": 40}
SMALL = {"size": 16, "z_size": 40, "w_size": 20, "base": 64, "most": 16}


def generator(form: str) -> Generator:
    torch.manual_seed(0)
    if form == "shift":
        return Generator(**SMALL, shift=True)
    flow = PoseFlow("body_15", joint_means(SOURCE, Alpha().skeleton), 8, 16, 1, (12, 16, 1))
    flow.fit_scale(SOURCE)
    return Generator.taught_by(flow, **SMALL, pose_mapping=(16, 24, 1))


def task(form: str) -> AdaptationTask:
    made, alpha = generator(form), Alpha(size=16)
    judges = {"beta": Beta(width=4).eval(), "discriminator": Discriminator(16, base=64, most=16)}
    networks = Networks(generator=made, alpha=alpha, source=moments(SOURCE), **judges)
    return AdaptationTask(SOURCE, SHOTS, alpha.skeleton, networks, SOURCE)


@pytest.mark.parametrize("form", ["taught", "shift"])
@pytest.mark.parametrize("name", ["finetune", "adagan", "lora", "lora_convs", "flexpose", "flexpose_moments"])
def test_a_method_learns_and_leaves_the_source_and_its_teacher_alone(name: str, form: str):
    given = task(form)
    before = {key: t.clone() for key, t in given.networks.generator.state_dict().items()}
    learned = METHODS[name].learn(given, replace(METHODS[name].settings, **FEW), lambda row: None, "cpu")
    poses_NJ2 = learned.sample(20, 5)
    assert poses_NJ2.shape == (20, 15, 2) and np.isfinite(poses_NJ2).all()
    plain = METHODS["unadapted"].learn(given, METHODS["unadapted"].settings, lambda row: None, "cpu")
    assert not np.array_equal(poses_NJ2, plain.sample(20, 5))
    assert all(torch.equal(t, before[key]) for key, t in given.networks.generator.state_dict().items())
    for key, t in learned.tensors.items():
        assert "teacher" not in key or torch.equal(t, before[key])
    if name == "finetune":  # all parameters, which the teacher's weights are not
        assert learned.parameters == sum(p.numel() for p in given.networks.generator.parameters())


def test_adagan_may_draw_a_taught_generator_s_w_to_its_mean():
    given = task("taught")
    given.networks.generator.mapping.w_mean.normal_()
    settings = replace(METHODS["adagan"].settings, **FEW, spread=0.0)
    poses_NJ2 = METHODS["adagan"].learn(given, settings, lambda row: None, "cpu").sample(5, 0)
    np.testing.assert_allclose(poses_NJ2, poses_NJ2[:1].repeat(5, 0), atol=1e-4)


def test_layers_in_stylegan_s_counting_are_trained_and_stored_in_ours():
    networks = task("shift").networks
    settings = FlexPoseSettings(layers=(3, 6), counting="stylegan", blend=False, steps=1, batch=8, mixup=40)
    transfer = adapt(networks, SHOTS, settings)
    assert transfer.config["layers"] == [2, 5]
    assert set(transfer.maps) == {"2", "5"}
    size = networks.generator.style_sizes[1]  # scales and shifts
    assert transfer.maps["2"].weight.shape == (size, size)
    ours = adapt(networks, SHOTS, replace(settings, layers=(2, 5), counting="stylegan2"))
    assert all(torch.equal(a, b) for a, b in zip(transfer.parameters(), ours.parameters(), strict=True))
