"""Folded networks compute what the networks compute."""

import itertools

import pytest
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.folded import FoldedBeta, FoldedGenerator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.networks.transfer import Transfer


def generator(size=16, **config):
    """One whose every parameter matters: none is left at the zero or one that it starts from."""
    torch.manual_seed(0)
    made = Generator(size, **{"z_size": 8, "w_size": 12, "depth": 2, "base": 128, "most": 16, **config}).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("bias"):
            parameter.data += 0.5 * torch.randn_like(parameter) / (100 if "mapping" in name else 1)
    return made.requires_grad_(False)


def moved(made, layers, bias):
    transfer = Transfer.for_generator(made, layers, bias)
    for parameter in transfer.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return transfer.requires_grad_(False)


def taught(**config):
    """A generator that a flow has taught, likewise."""
    torch.manual_seed(0)
    flow = PoseFlow("body_15", [[1, 3, 6], [2, 9, 12]], 8, 16, 1, (12, 16, 1))
    sizes = {"size": 16, "z_size": 40, "w_size": 12, "base": 128, "most": 16, "pose_mapping": (16, 24, 1)}
    made = Generator.taught_by(flow, **sizes, **config).eval()
    for parameter in made.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made.requires_grad_(False)


def plain(made, transfer, z):
    return StyleGanSampler(made, Beta(width=4), None, transfer).images(z)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16, 32, 64, 128])
def test_images(size, channels):
    made, z = generator(size, channels=channels), torch.randn(3, 8)
    torch.testing.assert_close(FoldedGenerator(made)(z), made(z), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [(3,), (1, 5), "w", (1, 2, 3, 4, 5)])
def test_images_of_an_adapted_generator(layers, bias):
    made, z = generator(), torch.randn(3, 8)
    transfer = moved(made, layers, bias)
    wanted = plain(made, transfer, z)
    assert (wanted - made(z)).abs().max() > 0.01
    torch.testing.assert_close(FoldedGenerator(made, transfer)(z), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layers", [None, (3,), "w"])
@pytest.mark.parametrize("make", [taught, generator, lambda **config: taught(shift=True)])
def test_images_of_the_other_forms(make, layers):
    """With poses for a mapping, with styles that shift, and with both."""
    made, z = make(shift=True) if make is generator else make(), torch.randn(3, 40 if make is not generator else 8)
    transfer = moved(made, layers, True) if layers else None
    torch.testing.assert_close(FoldedGenerator(made, transfer)(z), plain(made, transfer, z), rtol=1e-5, atol=1e-5)


def beta(**config):
    torch.manual_seed(0)
    made = Beta(width=8, **config)
    for _ in range(3):  # gives the batch normalisation something to fold
        made(torch.randn(4, made.config["channels"], 32, 32) + 0.5)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_()
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize(("joints", "channels"), [(15, 3), (68, 1)])
@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_readings(size, joints, channels):
    made, images = beta(joints=joints, channels=channels), torch.randn(3, channels, size, size)
    for found, wanted in zip(FoldedBeta(made, size)(images), made(images), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", ["classical", "taught"])
@torch.inference_mode()
def test_an_image_and_its_reading_do_not_depend_on_the_others_of_the_batch(form):
    """Bit for bit, in one place of batches of one size: that is what a pose's address promises."""
    made = generator(32) if form == "classical" else taught()
    folded, reader, z = FoldedGenerator(made), FoldedBeta(beta(), made.size), torch.randn(40, made.z_size)
    images = folded(z)
    readings = reader(images)
    for place, other in itertools.product((0, 7, 39), (torch.zeros_like(z), torch.randn_like(z) * 5)):
        other[place] = z[place]
        assert torch.equal(folded(other)[place], images[place])
        for found, wanted in zip(reader(folded(other)), readings, strict=True):
            assert torch.equal(found[place], wanted[place])


@pytest.mark.parametrize("make", [generator, taught])
def test_it_keeps_the_weights_that_it_was_made_with(make):
    made = make()
    z = torch.randn(2, made.z_size)
    folded, before = FoldedGenerator(made), made(z)
    for parameter in made.parameters():
        parameter.zero_()
    torch.testing.assert_close(folded(z), before, rtol=1e-5, atol=1e-5)
    reader, images = beta(), torch.randn(2, 3, 32, 32)
    folded, before = FoldedBeta(reader, 32), reader(images)
    for parameter in reader.parameters():
        parameter.zero_()
    torch.testing.assert_close(folded(images), before, rtol=1e-5, atol=1e-5)
