"""The detector's networks (KeypointGAN: Jakab et al., 2020): picture, skeleton image, points, and back to a picture.

None of them normalises over the batch, so that a picture's result does not depend on its neighbours, and several
workers train what one trains.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

LEVELS = 4  # resolutions of encoders and decoders: the skeleton image's, a half, a quarter, an eighth


def _stage(n_in: int, n_out: int, convs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolutions at one resolution, each normalised picture by picture; the first one may halve it."""
    layers: list[nn.Module] = []
    for i in range(convs):
        k, s = (kernel, stride) if i == 0 else (3, 1)
        conv = nn.Conv2d(n_in if i == 0 else n_out, n_out, k, s, k // 2, bias=False)
        layers += [conv, nn.GroupNorm(max(1, n_out // 8), n_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """A pyramid of features, coarsest last; ``stem`` is the stride from the input to its finest resolution."""

    def __init__(self, channels: int, width: int, convs: int, stem: int = 1):
        super().__init__()
        first = _stage(channels, width, convs, 5 if stem > 1 or convs == 1 else 7, stem)
        rest = [_stage(width << i, width << (i + 1), convs, 3, 2) for i in range(LEVELS - 1)]
        self.stages = nn.ModuleList([first, *rest])

    def forward(self, x_NCHW: torch.Tensor) -> list[torch.Tensor]:
        features = []
        for stage in self.stages:
            x_NCHW = stage(x_NCHW)
            features.append(x_NCHW)
        return features


class Decoder(nn.Module):
    """From the coarsest features to an image, linear; with ``skips`` it sees the finer features too."""

    def __init__(self, n_in: int, channels: int, width: int, convs: int, skips: bool):
        super().__init__()
        n = width << (LEVELS - 1)
        self.skips = skips
        self.bottom = _stage(n_in, n, convs)
        halves = [n >> (i + 1) for i in range(LEVELS - 1)]
        self.stages = nn.ModuleList(_stage(2 * h + (h if skips else 0), h, convs) for h in halves)
        self.image = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        x = self.bottom(features[-1])
        for stage, skip in zip(self.stages, features[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = stage(torch.cat([x, skip], 1) if self.skips else x)
        return self.image(x)


class Skeletonizer(nn.Module):
    """Picture (N, 3, S, S) in [-1, 1] to skeleton image (N, C, s, s), about in [-1, 1]."""

    def __init__(self, channels: int, width: int, convs: int, stem: int):
        super().__init__()
        self.encoder = Encoder(3, width, convs, stem)
        self.decoder = Decoder(width << (LEVELS - 1), channels, width, convs, skips=True)

    def forward(self, pictures_N3SS: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(pictures_N3SS))


class Painter(nn.Module):
    """Skeleton image and another picture of the same person and place, to the picture at the skeleton image's size."""

    def __init__(self, channels: int, width: int, convs: int, stem: int):
        super().__init__()
        self.pose = Encoder(channels, width, convs)
        self.looks = Encoder(3, width, convs, stem)
        self.decoder = Decoder(2 * (width << (LEVELS - 1)), 3, width, convs, skips=False)

    def forward(self, skeletons_NCss: torch.Tensor, companions_N3SS: torch.Tensor) -> torch.Tensor:
        pose, looks = self.pose(skeletons_NCss), self.looks(companions_N3SS)
        bottom = torch.cat([pose[-1], looks[-1]], 1)
        return self.decoder([*pose[:-1], bottom])


class DenseRegressor(nn.Module):
    """Skeleton image to points by a linear head: sharp on small images, where heatmaps have too few pixels."""

    def __init__(self, channels: int, size: int, joints: int, width: int = 32, hidden: int = 256):
        super().__init__()
        self.joints = joints
        side = -(-size // 4)
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 3, 2, 1), nn.ReLU(),
            nn.Conv2d(width, width, 3, 2, 1), nn.ReLU(),
            nn.Flatten(), nn.Linear(width * side * side, hidden), nn.ReLU(), nn.Linear(hidden, 2 * joints),
        )  # fmt: skip

    def forward(self, skeletons_NCss: torch.Tensor) -> torch.Tensor:
        """Points (N, J, 2), crop units."""
        return 0.5 + 0.2 * self.layers(skeletons_NCss.contiguous()).view(-1, self.joints, 2)


class HeatmapRegressor(nn.Module):
    """Skeleton image to points by a map for each joint; a point is the mean of its map's columns and rows."""

    def __init__(self, channels: int, joints: int, width: int, convs: int):
        super().__init__()
        self.encoder = Encoder(channels, width, convs)
        self.maps = nn.Conv2d(width << (LEVELS - 1), joints, 1)

    def forward(self, skeletons_NCss: torch.Tensor) -> torch.Tensor:
        """Points (N, J, 2), crop units."""
        maps_NJhw = self.maps(self.encoder(skeletons_NCss)[-1]).float()
        places = []
        for axis in (2, 3):
            mass = maps_NJhw.mean(axis).softmax(2)
            n = mass.shape[2]
            places.append((mass * ((torch.arange(n, device=mass.device) + 0.5) / n)).sum(2))
        return torch.stack(places, 2)  # the mean over rows leaves columns: x first


class Critic(nn.Module):
    """Patches of skeleton images, true or not, at one or more scales: a list of (N, 1, h, w)."""

    def __init__(self, channels: int, width: int, scales: int, halvings: int):
        super().__init__()
        self.scales = nn.ModuleList(self._patches(channels, width, max(1, halvings - (i > 0))) for i in range(scales))

    @staticmethod
    def _patches(channels: int, width: int, halvings: int) -> nn.Sequential:
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        n = width
        for stride in [2] * (halvings - 1) + [1]:
            kernel = 4 if stride == 2 else 3
            layers += [nn.Conv2d(n, 2 * n, kernel, stride, 1), nn.InstanceNorm2d(2 * n), nn.LeakyReLU(0.2)]
            n *= 2
        return nn.Sequential(*layers, nn.Conv2d(n, 1, 3, 1, 1))

    def forward(self, skeletons_NCss: torch.Tensor) -> list[torch.Tensor]:
        verdicts = []
        for patches in self.scales:
            verdicts.append(patches(skeletons_NCss))
            skeletons_NCss = F.avg_pool2d(skeletons_NCss, 2)
        return verdicts
