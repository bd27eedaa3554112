"""beta: skeleton images to keypoints. A small U-Net gives one heatmap per joint, and a soft-argmax its position."""

from __future__ import annotations

import torch
from torch import nn

from flexpose_ray.networks.ops import upsample


def _conv(n_in: int, n_out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)
    )


class Beta(nn.Module):
    """Keypoint regressor beta (paper section 3.4), differentiable, on images in [-1, 1].

    Args:
        joints: number of joints J.
        channels: number of image channels.
        width: feature channels at half the image's resolution; twice and four times as many below.
    """

    def __init__(self, joints: int = 15, channels: int = 3, width: int = 24):
        super().__init__()
        self.config = dict(joints=joints, channels=channels, width=width)
        self.down2 = _conv(channels, width, stride=2)
        self.down4 = nn.Sequential(_conv(width, 2 * width, stride=2), _conv(2 * width, 2 * width))
        self.down8 = nn.Sequential(_conv(2 * width, 4 * width, stride=2), _conv(4 * width, 4 * width))
        self.bottom = nn.Sequential(_conv(4 * width, 4 * width, stride=2), _conv(4 * width, 4 * width))
        self.up8 = _conv(4 * width, 4 * width)
        self.up4 = _conv(4 * width, 2 * width)
        self.up2 = _conv(2 * width, width)
        self.heat = nn.Conv2d(width, joints, 1)

    def features(self, images_NCHW: torch.Tensor) -> list[torch.Tensor]:
        """Feature maps at 1/2, 1/4 and 1/8 of the image's resolution, finest first."""
        at2 = self.down2(images_NCHW.contiguous(memory_format=torch.channels_last))
        at4 = self.down4(at2)
        return [at2, at4, self.down8(at4)]

    def forward(self, images_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Read poses from images (N, C, H, W).

        Returns:
            keypoints_NJ2: crop units.
            confidence_NJ: in [0, 1]; 1 for a heatmap that is a single point, 1/e for a spread of 1/16 of the canvas.
        """
        return read_heatmaps(self.heatmaps(images_NCHW))

    def heatmaps(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """One heatmap per joint, (N, J, H/2, W/2) float32, before the softmax."""
        at2, at4, at8 = self.features(images_NCHW)
        x = self.up8(upsample(self.bottom(at8)) + at8)
        x = self.up4(upsample(x)) + at4
        x = self.up2(upsample(x)) + at2
        return self.heat(x).float()


def read_heatmaps(heat_NJHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Soft-argmax: mean and concentration of every heatmap, as keypoints in crop units and confidence."""
    n, j, h, w = heat_NJHW.shape
    mass_NJHW = heat_NJHW.flatten(2).softmax(2).view(n, j, h, w)
    x_W = (torch.arange(w, device=heat_NJHW.device, dtype=torch.float32) + 0.5) / w
    y_H = (torch.arange(h, device=heat_NJHW.device, dtype=torch.float32) + 0.5) / h
    across_NJW, down_NJH = mass_NJHW.sum(2), mass_NJHW.sum(3)
    # Elementwise products, because autocast leaves them in float32; and variance about the mean, because
    # E[x^2] - E[x]^2 would leave only three digits of the confidence of sharp heatmaps.
    x_NJ, y_NJ = (across_NJW * x_W).sum(2), (down_NJH * y_H).sum(2)
    across_variance_NJ = (across_NJW * (x_W - x_NJ[..., None]).square()).sum(2)
    variance_NJ = across_variance_NJ + (down_NJH * (y_H - y_NJ[..., None]).square()).sum(2)
    confidence_NJ = torch.exp(-variance_NJ.clamp_min(1e-10).sqrt() * 16)
    return torch.stack([x_NJ, y_NJ], 2), confidence_NJ
