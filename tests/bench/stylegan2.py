"""A plain StyleGAN2 training step, for comparison: the networks as Karras et al. wrote them down (2020, "Analyzing and
improving" and "limited data"), NCHW, float32, weights for every image in grouped convolutions, a blur by [1, 3, 3, 1]
at every change of resolution, noise inputs, R1 now and then. No path lengths, no augmentation.

A layer that doubles the resolution either convolves what was upsampled before, or, as the authors' code does at a
quarter of the multiplications, convolves transposed and blurs after that.
"""

from __future__ import annotations

import copy
import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn

from flexpose_ray.networks.discriminator import batch_spread
from flexpose_ray.networks.generator import Mapping, channels_at
from flexpose_ray.networks.ops import Linear

GAIN = math.sqrt(2)


def blur(x_NCHW: torch.Tensor, up: int = 1, down: int = 1) -> torch.Tensor:
    """Low-pass by the outer square of [1, 3, 3, 1] / 8, after zero insertion or before dropping pixels."""
    n, c, h, w = x_NCHW.shape
    if up == 2:
        x_NCHW = F.pad(x_NCHW.view(n, c, h, 1, w, 1), (0, 1, 0, 0, 0, 1)).view(n, c, 2 * h, 2 * w)
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    kernel = (taps[:, None] * taps * up**2).expand(c, 1, 4, 4)
    before = (2, 1) if up == 2 else (1, 2) if down == 1 else (1, 1)
    return F.conv2d(F.pad(x_NCHW, before * 2), kernel, stride=down, groups=c)


def act(x_NCHW: torch.Tensor) -> torch.Tensor:
    return F.leaky_relu(x_NCHW, 0.2) * GAIN


class Modulated(nn.Module):
    """Convolution with weights of every image's own."""

    def __init__(self, n_in: int, n_out: int, kernel: int, w_size: int, up: str = "", plain: bool = False):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias, self.strength = nn.Parameter(torch.zeros(n_out)), nn.Parameter(torch.zeros(()))
        self.affine = Linear(w_size, n_in, bias=1.0)
        self.up, self.plain, self.scale = up, plain, 1 / math.sqrt(n_in * kernel**2)

    def forward(self, x_NCHW: torch.Tensor, w_ND: torch.Tensor) -> torch.Tensor:
        n = len(x_NCHW)
        weight = self.weight * self.scale * self.affine(w_ND)[:, None, :, None, None]
        if not self.plain:
            weight = weight * torch.rsqrt(weight.square().sum((2, 3, 4), keepdim=True) + 1e-8)
        if self.up == "before":
            x_NCHW = blur(x_NCHW, up=2)
        _, c, h, w = x_NCHW.shape
        x_1KHW = x_NCHW.reshape(1, n * c, h, w)
        if self.up == "transposed":
            weight = weight.transpose(1, 2).flatten(0, 1)
            y = F.conv_transpose2d(x_1KHW, weight, stride=2, padding=1, output_padding=1, groups=n)
            y = blur(y.view(n, -1, 2 * h, 2 * w)) * 4
        else:
            y = F.conv2d(x_1KHW, weight.flatten(0, 1), padding=weight.shape[-1] // 2, groups=n).view(n, -1, h, w)
        h, w = y.shape[2:]
        if self.plain:
            return y + self.bias[:, None, None]
        return act(y + self.strength * torch.randn(n, 1, h, w) + self.bias[:, None, None])


class Generator(nn.Module):
    def __init__(self, size: int, z_size: int, w_size: int, depth: int, base: int, most: int, up: str):
        super().__init__()
        widths = [channels_at(2**k, base, most) for k in range(2, int(math.log2(size)) + 1)]
        self.mapping, self.start = Mapping(z_size, w_size, depth), nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.first = Modulated(widths[0], widths[0], 3, w_size)
        self.ups = nn.ModuleList(Modulated(a, b, 3, w_size, up) for a, b in itertools.pairwise(widths))
        self.convs = nn.ModuleList(Modulated(b, b, 3, w_size) for b in widths[1:])
        self.outputs = nn.ModuleList(Modulated(n, 3, 1, w_size, plain=True) for n in widths)

    def forward(self, z_NZ: torch.Tensor) -> torch.Tensor:
        w = self.mapping(z_NZ)
        x = self.first(self.start.expand(len(w), -1, -1, -1), w)
        image = self.outputs[0](x, w)
        for up, conv, output in zip(self.ups, self.convs, self.outputs[1:], strict=True):
            x = conv(up(x, w), w)
            image = blur(image, up=2) + output(x, w)
        return image


class Conv(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.scale, self.padding = 1 / math.sqrt(n_in * kernel**2), kernel // 2

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x_NCHW, self.weight * self.scale, self.bias, padding=self.padding)


class Block(nn.Module):
    """Residual block whose convolutions both see the higher resolution's input."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.first, self.second, self.skip = Conv(n_in, n_in, 3), Conv(n_in, n_out, 3), Conv(n_in, n_out, 1, False)

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        y = blur(act(self.first(x_NCHW)))
        y = act(F.conv2d(y, self.second.weight * self.second.scale, self.second.bias, stride=2, padding=1))
        return (y + self.skip(blur(x_NCHW, down=2))) * math.sqrt(0.5)


class Discriminator(nn.Module):
    def __init__(self, size: int, base: int, most: int):
        super().__init__()
        widths = [channels_at(2**k, base, most) for k in range(int(math.log2(size)), 1, -1)]
        self.enter = Conv(3, widths[0], 1)
        self.blocks = nn.Sequential(*(Block(a, b) for a, b in itertools.pairwise(widths)))
        self.last = Conv(widths[-1] + 1, widths[-1], 3)
        self.hidden, self.logit = Linear(widths[-1] * 16, widths[-1]), Linear(widths[-1], 1)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        x = act(self.last(batch_spread(self.blocks(act(self.enter(images_NCHW))))))
        return self.logit(act(self.hidden(x.flatten(1)))).squeeze(1)


class Training:
    """Both networks, their Adams, the averaged generator, and a batch of real images that is used again and again."""

    def __init__(self, real_NCHW: torch.Tensor, z_size: int, w_size: int, depth: int, base: int, most: int, up: str):
        size = real_NCHW.shape[-1]
        self.real, self.z_size = real_NCHW.contiguous(), z_size
        self.generator = Generator(size, z_size, w_size, depth, base, most, up)
        self.discriminator = Discriminator(size, base, most)
        self.averaged = copy.deepcopy(self.generator).requires_grad_(False)
        self.g_adam = torch.optim.Adam(self.generator.parameters(), 0.002, (0.0, 0.99), 1e-8)
        self.d_adam = torch.optim.Adam(self.discriminator.parameters(), 0.002, (0.0, 0.99), 1e-8)

    def step(self, penalty: bool) -> None:
        """Generator, discriminator, and R1 where asked for."""
        n = len(self.real)
        self.discriminator.requires_grad_(False)
        loss = F.softplus(-self.discriminator(self.generator(torch.randn(n, self.z_size)))).mean()
        self._update(loss, self.g_adam)
        self.discriminator.requires_grad_(True)
        with torch.no_grad():
            fake = self.generator(torch.randn(n, self.z_size))
        loss = F.softplus(self.discriminator(fake)).mean() + F.softplus(-self.discriminator(self.real)).mean()
        self._update(loss, self.d_adam)
        if penalty:
            real = self.real.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.discriminator(real).sum(), real, create_graph=True)
            self._update(gradient.square().sum((1, 2, 3)).mean() * 80, self.d_adam)
        with torch.no_grad():
            for mean, now in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
                mean.copy_(now.lerp(mean, 0.998))

    @staticmethod
    def _update(loss: torch.Tensor, adam: torch.optim.Adam) -> None:
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
