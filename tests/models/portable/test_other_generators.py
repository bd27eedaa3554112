"""A generator taught by a flow, with styles that shift: it is stored, and exported for any batch, as the others are."""

import numpy as np
import pytest
import torch

from flexpose_ray.models.generators import load_generator, load_sampler, save_adapted, save_generator
from flexpose_ray.models.portable.graphs import run_onnx, run_torchscript, to_onnx, to_torchscript
from flexpose_ray.models.portable.networks import networks
from flexpose_ray.networks.beta import Beta, read_heatmaps
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> str:
    """URI of such a generator, without a discriminator."""
    torch.manual_seed(0)
    uri, alpha = str(tmp_path_factory.mktemp("taught")), Alpha(size=16)
    source_NJ2 = np.random.default_rng(0).random((100, 15, 2)).astype(np.float32)
    flow = PoseFlow("body_15", [[1, 3, 6], [2, 9, 12]], 8, 16, 1, (12, 16, 1))
    flow.fit_scale(source_NJ2)
    generator = Generator.taught_by(
        flow, size=16, z_size=40, w_size=20, base=64, most=16, shift=True, pose_mapping=(16, 24, 1)
    )
    generator.mapping.w_mean.normal_()
    made = Networks(
        generator=generator, discriminator=None, alpha=alpha, source=moments(source_NJ2), beta=Beta(width=4)
    )
    save_generator(uri, made, PoseLimits.of(source_NJ2, alpha.skeleton), {})
    return uri


@pytest.fixture(scope="module")
def adapted(taught, tmp_path_factory) -> str:
    uri, base = str(tmp_path_factory.mktemp("adapted")), load_generator(taught)
    transfer = Transfer.for_generator(base.generator, (1, 3), bias=True)
    for parameter in transfer.parameters():
        parameter.data += 0.3 * torch.randn_like(parameter)
    save_adapted(uri, taught, base.digest, transfer, np.full((3, 15, 2), 0.5, np.float32), {})
    return uri


def test_it_comes_back_from_storage_with_its_teacher(taught):
    one, again = (load_generator(taught).generator for _ in range(2))
    z = torch.randn(3, 40)
    assert torch.equal(one(z), again(z))
    assert one.config["teacher"]["student"] == [12, 16, 1] and one.config["shift"] is True
    assert one.mapping.w_mean.abs().sum() > 0
    assert not any("field" in name for name in one.state_dict())
    assert load_sampler(taught).sample(0, np.arange(5))[0].shape == (5, 15, 2)


@pytest.mark.parametrize("format", [pytest.param("onnx", marks=pytest.mark.slow), "torchscript"])
def test_the_exported_sampler_computes_what_the_networks_do_for_any_batch(adapted, format):
    reader = torch.jit.script(read_heatmaps) if format == "torchscript" else read_heatmaps
    *_, network = networks(load_sampler(adapted), reader)
    data = to_onnx(network, {}) if format == "onnx" else to_torchscript(network)
    for x in map(network.example, (1, 3, 33)):
        with torch.inference_mode():
            wanted = network.module(x)
        for ours, theirs in zip((run_onnx if format == "onnx" else run_torchscript)(data, x), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
