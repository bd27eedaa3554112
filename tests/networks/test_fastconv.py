"""Fast convolutions equal the plain ones, on maps of any size that the networks have, borders included."""

import pytest
import torch
import torch.nn.functional as F

from flexpose_ray.networks.fastconv import DoublingConv, TiledConv, doubling, fast_conv
from flexpose_ray.networks.ops import upsample


def case(side, n_in=5, n_out=7):
    rng = torch.Generator().manual_seed(side)
    weight = torch.randn(n_out, n_in, 3, 3, generator=rng) / (n_in * 9) ** 0.5
    return torch.randn(3, n_in, side, side, generator=rng), weight, torch.randn(n_out, generator=rng)


def plain(x, weight, bias, doubled):
    x, weight = x.double(), weight.double()
    bias = None if bias is None else bias.double()
    return F.conv2d(upsample(x) if doubled else x, weight, bias, padding=1).float()


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("side", "doubled"), [(4, False), (8, False), (2, True), (4, True), (6, True), (8, True)])
def test_tiles(side, doubled, layout, with_bias):
    x, weight, bias = case(side)
    bias = bias if with_bias else None
    found = TiledConv(weight, bias, side, doubled)(x.to(memory_format=layout))
    torch.testing.assert_close(found, plain(x, weight, bias, doubled), rtol=0, atol=1e-5)


@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("side", [1, 2, 3, 16])
def test_doubling_after_the_convolution(side, layout, with_bias):
    x, weight, bias = case(side)
    bias = bias if with_bias else None
    found = DoublingConv(weight, bias)(x.to(memory_format=layout))
    torch.testing.assert_close(found, plain(x, weight, bias, doubled=True), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("doubled", [True, False])
def test_every_size_has_a_form_and_it_leaves_its_input_alone(side, doubled):
    x, weight, bias = case(side)
    x = x.to(memory_format=torch.channels_last)
    before = x.clone()
    found = fast_conv(weight, bias, side, doubled)(x)
    torch.testing.assert_close(found, plain(x, weight, bias, doubled), rtol=0, atol=1e-5)
    assert torch.equal(x, before)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_doubling_is_bilinear(n):
    row = torch.randn(1, 1, 1, n, generator=torch.Generator().manual_seed(0))
    wanted = upsample(row)[0, 0, 0]
    torch.testing.assert_close(doubling(n, row.device) @ row[0, 0, 0], wanted)
