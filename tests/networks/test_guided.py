"""The guided networks are the networks: the same values, the same gradients, with less work."""

import pytest
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.guided import GuidedBeta, GuidedDiscriminator, GuidedGenerator


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def randomised(network: torch.nn.Module) -> torch.nn.Module:
    """Biases and statistics are zeros and ones at first, under which much would go unseen."""
    for name, tensor in network.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            tensor.add_(0.3 * torch.randn_like(tensor))
        elif name.endswith("running_var"):
            tensor.mul_(1 + torch.rand_like(tensor))
    return network.eval().requires_grad_(False)


def gradients(function, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """The value, and how a fixed random projection of it depends on every input."""
    leaves = [x.detach().clone().requires_grad_(True) for x in inputs]
    value = function(*leaves)
    generator = torch.Generator().manual_seed(1)
    (value * torch.randn(value.shape, generator=generator)).sum().backward()
    return [value.detach(), *(leaf.grad for leaf in leaves)]


def assert_equal(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 32])
def test_generator(size: int, channels: int):
    generator = randomised(Generator(size, channels, base=128, most=16))
    w_ND = torch.randn(4, 128)
    styles = generator.styles(w_ND)

    def theirs(w, *s):
        return generator.synthesis(list(s), w)

    guided = GuidedGenerator(generator)
    assert_equal(gradients(lambda w, *s: guided(list(s), w), w_ND, *styles), gradients(theirs, w_ND, *styles))


@pytest.mark.parametrize("layer", range(2, 8))
def test_generator_from_what_a_layer_finds(layer: int):
    generator = randomised(Generator(32, base=128, most=16))
    w_ND = torch.randn(6, 128)
    styles, rows = generator.styles(w_ND), torch.tensor([4, 1])
    guided = GuidedGenerator(generator)
    held = guided.below(layer, styles, w_ND).take(rows)
    other = [styles[k][rows] if k < layer - 1 else styles[k][rows] * 2 for k in range(len(styles))]
    torch.testing.assert_close(guided(other, w_ND[rows], held), guided(other, w_ND[rows]))


@pytest.mark.parametrize("channels", [1, 3])
def test_beta(channels: int):
    beta = randomised(Beta(5, channels, width=4))
    images = torch.randn(3, channels, 32, 32)
    assert_equal(gradients(GuidedBeta(beta), images), gradients(lambda x: beta(x)[0], images))


@pytest.mark.parametrize("count", [3, 8])
def test_discriminator(count: int):
    discriminator = randomised(Discriminator(32, base=128, most=16))
    images = torch.randn(count, 3, 32, 32)
    assert_equal(gradients(GuidedDiscriminator(discriminator), images), gradients(discriminator, images))
