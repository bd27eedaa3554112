"""The discriminator: StyleGAN2's residual network, with pooling before each block's second convolution."""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn

from flexpose_ray.networks.generator import channels_at
from flexpose_ray.networks.ops import LRELU_GAIN, Conv, Linear, lrelu

GROUP = 4  # images per statistic of `batch_spread`


def batch_spread(x_NCHW: torch.Tensor) -> torch.Tensor:
    """Append one channel: the standard deviation over groups of neighbouring images (Karras et al., 2018).

    Groups stay within a worker's share of the batch when that share is a multiple of the group size.
    """
    n, c, h, w = x_NCHW.shape
    group = math.gcd(n, GROUP)
    x = x_NCHW.float().reshape(n // group, group, c, h, w)
    spread = ((x - x.mean(1, keepdim=True)).square().mean(1) + 1e-8).sqrt().mean((1, 2, 3))
    spread = spread.repeat_interleave(group).view(n, 1, 1, 1).expand(n, 1, h, w)
    return torch.cat([x_NCHW, spread.to(x_NCHW.dtype)], 1)


class Block(nn.Module):
    """Residual block from one resolution to half of it."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        self.first = Conv(n_in, n_in, 3, gain=LRELU_GAIN)
        self.second = Conv(n_in, n_out, 3, gain=LRELU_GAIN * math.sqrt(0.5))  # the sum of both paths keeps the variance
        self.skip = Conv(n_in, n_out, 1, bias=False, gain=math.sqrt(0.5))

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        y = lrelu(self.second(F.avg_pool2d(lrelu(self.first(x_NCHW)), 2)))
        return y + self.skip(F.avg_pool2d(x_NCHW, 2))


class Discriminator(nn.Module):
    """Skeleton images (N, C, H, W) to logits (N,), high for real images.

    Args:
        size, channels: of the images, as in the generator.
        base, most: feature channels are ``min(most, base / resolution)``.
    """

    def __init__(self, size: int = 64, channels: int = 3, base: int = 1024, most: int = 128):
        super().__init__()
        self.config = dict(size=size, channels=channels, base=base, most=most)
        widths = [channels_at(2**k, base, most) for k in range(int(math.log2(size)), 1, -1)]
        self.enter = Conv(channels, widths[0], 1, gain=LRELU_GAIN)
        self.blocks = nn.ModuleList(Block(a, b) for a, b in itertools.pairwise(widths))
        self.last = Conv(widths[-1] + 1, widths[-1], 3, gain=LRELU_GAIN)
        self.hidden = Linear(widths[-1] * 16, widths[-1], gain=LRELU_GAIN)
        self.logit = Linear(widths[-1], 1)

    def features(self, images_NCHW: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps after every block, finest first."""
        x = lrelu(self.enter(images_NCHW.contiguous(memory_format=torch.channels_last)))
        maps = []
        for block in self.blocks:
            x = block(x)
            maps.append(x)
        return maps

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        x = lrelu(self.last(batch_spread(self.features(images_NCHW)[-1])))
        return self.logit(lrelu(self.hidden(x.flatten(1)))).squeeze(1).float()
