"""The layers: the fast forms equal the textbook ones, and activations keep their size."""

import pytest
import torch
import torch.nn.functional as F

from flexpose_ray.networks.ops import LRELU_GAIN, Conv, Linear, StyledConv, lrelu, upsample


def modulated_convolution(x, weight, style, bias, gain, demodulate):
    """Karras et al. 2020, section 2.2, word by word: scale the weights, normalise them, convolve each image apart."""
    n, c, height, width = x.shape
    weight_NOIKK = weight[None] * style[:, None, :, None, None]
    if demodulate:
        weight_NOIKK = weight_NOIKK / (weight_NOIKK.square().sum((2, 3, 4), keepdim=True) + 1e-8).sqrt()
    kernels = weight_NOIKK.reshape(-1, c, *weight.shape[2:])
    y = F.conv2d(x.reshape(1, n * c, height, width), kernels, padding=weight.shape[2] // 2, groups=n)
    return (y.view(n, -1, height, width) + bias[:, None, None]) * gain


@pytest.mark.parametrize(("n_in", "n_out", "kernel"), [(5, 7, 3), (8, 3, 1)])
@pytest.mark.parametrize("demodulate", [True, False])
def test_styled_convolution_equals_the_grouped_modulated_one(n_in, n_out, kernel, demodulate):
    torch.manual_seed(0)
    conv = StyledConv(n_in, n_out, kernel, demodulate=demodulate)
    conv.bias.data.normal_()
    x, style = torch.randn(4, n_in, 9, 9), torch.randn(4, n_in) * 3 + 1
    weight = conv.weight / (n_in * kernel**2) ** 0.5
    wanted = modulated_convolution(x, weight, style, conv.bias, LRELU_GAIN, demodulate)
    torch.testing.assert_close(conv(x, style), wanted, rtol=1e-4, atol=1e-4)


def test_styled_convolution_has_the_gradients_of_the_grouped_one():
    torch.manual_seed(0)
    conv, x, style = StyledConv(4, 6), torch.randn(3, 4, 8, 8), torch.randn(3, 4, requires_grad=True)
    mask = torch.randn(3, 6, 8, 8)
    ours = torch.autograd.grad((conv(x, style) * mask).sum(), [conv.weight, conv.bias, style])
    grouped = modulated_convolution(x, conv.weight / 6, style, conv.bias, LRELU_GAIN, True)
    for found, wanted in zip(
        ours, torch.autograd.grad((grouped * mask).sum(), [conv.weight, conv.bias, style]), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


def mean_square(x):
    return x.square().mean().item()


def test_a_leaky_relu_keeps_the_mean_square_with_the_gain_before_it():
    x = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    assert mean_square(lrelu(x * LRELU_GAIN)) == pytest.approx(1.04, abs=0.02)
    assert lrelu(torch.tensor([-5.0, 0, 5])).tolist() == [-1, 0, 5]


def test_layers_keep_the_mean_square_at_the_start():
    torch.manual_seed(0)
    x, flat = torch.randn(16, 32, 8, 8), torch.randn(256, 64)
    inside = (..., slice(1, -1), slice(1, -1))  # away from the padding
    assert mean_square(Conv(32, 64, 3)(x)[inside]) == pytest.approx(1, rel=0.1)
    assert mean_square(Conv(32, 64, 1, gain=2)(x)) == pytest.approx(4, rel=0.1)
    assert mean_square(Linear(64, 512)(flat)) == pytest.approx(1, rel=0.1)
    assert mean_square(Linear(64, 512, lr=0.01, gain=3)(flat)) == pytest.approx(9, rel=0.1)
    style = torch.rand(16, 32) * 5 + 0.1  # demodulation takes out whatever the style does
    assert mean_square(lrelu(StyledConv(32, 64)(x, style))[inside]) == pytest.approx(1, rel=0.15)


def test_a_layer_of_small_learning_rate_starts_the_same_and_moves_slower():
    moved = []
    for lr in (1.0, 0.01):
        torch.manual_seed(0)
        layer, x = Linear(16, 4, bias=1.0, lr=lr), torch.ones(1, 16)
        before = layer(x)
        moved.append((before, layer, x))
    torch.testing.assert_close(moved[0][0], moved[1][0])
    steps = []
    for before, layer, x in moved:
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter += 0.1  # Adam's first step has the size of its learning rate, whatever the gradient
            steps.append((layer(x) - before).abs().mean().item())
    assert steps[1] == pytest.approx(0.01 * steps[0], rel=1e-3)


def test_a_convolution_may_go_without_bias():
    assert [name for name, _ in Conv(3, 4, 1, bias=False).named_parameters()] == ["weight"]


def test_upsampling_doubles_and_keeps_flat_images_flat():
    assert upsample(torch.full((2, 3, 4, 5), 0.7)).shape == (2, 3, 8, 10)
    torch.testing.assert_close(upsample(torch.full((1, 1, 4, 4), 0.7)), torch.full((1, 1, 8, 8), 0.7))
    ramp = upsample(torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4))[0, 0, 3]
    torch.testing.assert_close(ramp, torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]))
