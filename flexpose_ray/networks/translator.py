"""Networks that translate between skeleton images and pictures (CycleGAN: Zhu et al., 2017), and the painter in use."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from flexpose_ray.pose.alpha import Alpha, to_uint8

PAINT_BATCH = 64  # poses at a time


def _norm(n: int) -> nn.Module:
    return nn.InstanceNorm2d(n)  # GroupNorm is faster, but its variances of near-black pictures are inexact on CPUs


class _Block(nn.Module):
    """Two convolutions beside which the features pass as they are."""

    def __init__(self, n: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(n, n, 3, padding=1, padding_mode="reflect"), _norm(n), nn.ReLU(inplace=True),
            nn.Conv2d(n, n, 3, padding=1, padding_mode="reflect"), _norm(n),
        )  # fmt: skip

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        return x_NCHW + self.layers(x_NCHW)


class Translator(nn.Module):
    """One kind of image (N, n_in, S, S) to another (N, n_out, S, S), both in [-1, 1].

    Two halvings, residual blocks at a quarter of the size, two doublings. ``stem`` is the stride of the first
    convolution: with 2 nothing works at the finest resolution, and each place of the second one makes the four pixels
    of its place in the image.
    """

    def __init__(self, n_in: int, n_out: int, width: int, blocks: int, stem: int):
        super().__init__()
        halvings = 3 - stem  # those after the stem, so that blocks always work at a quarter of the size
        layers: list[nn.Module] = [
            nn.Conv2d(n_in, width, 7, stem, 3, padding_mode="reflect"), _norm(width), nn.ReLU(inplace=True)
        ]  # fmt: skip
        n = width
        for _ in range(halvings):
            layers += [nn.Conv2d(n, 2 * n, 3, 2, 1), _norm(2 * n), nn.ReLU(inplace=True)]
            n *= 2
        layers += [_Block(n) for _ in range(blocks)]
        for _ in range(halvings):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(n, n // 2, 3, padding=1), _norm(n // 2), nn.ReLU()]
            n //= 2
        kernel = 7 if stem == 1 else 5
        last = nn.Conv2d(n, stem * stem * n_out, kernel, padding=kernel // 2, padding_mode="reflect")
        with torch.no_grad():  # the pixels of one place begin alike, so that no pattern of them is there to unlearn
            last.weight.copy_(last.weight[:: stem * stem].repeat_interleave(stem * stem, 0))
            last.bias.copy_(last.bias[:: stem * stem].repeat_interleave(stem * stem))
        self.layers = nn.Sequential(*layers, last, nn.PixelShuffle(stem), nn.Tanh())

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        return self.layers(x_NCHW)


class PosePainter:
    """Paints pictures of poses.

    Args:
        painter: trained, skeleton images to pictures.
        alpha: draws skeleton images as in training.
    """

    def __init__(self, painter: Translator, alpha: Alpha):
        self.painter, self.alpha = painter, alpha
        self.device = next(painter.parameters()).device

    @torch.no_grad()
    def paint(self, poses_NJ2: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Pictures of poses, some at a time: (skeleton images, pictures), each uint8 (n, S, S, channels), RGB.

        Args:
            poses_NJ2: crop units.
        """
        for start in range(0, len(poses_NJ2), PAINT_BATCH):
            drawn = self.alpha.draw(torch.as_tensor(poses_NJ2[start : start + PAINT_BATCH], device=self.device))
            yield to_uint8(drawn), to_uint8(self.painter(drawn))
