"""Poses of a generator, drawn to the shots: where they are mixed in, and the moments that the result is to have."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from flexpose_ray.pose.geometry import mirrored

NUMBERS = 5  # normal numbers a pose takes, beside its latent


class Blend(nn.Module):
    """What is done to the poses that beta reads off g_t(z).

    A share of ``prior`` of them stay what they are: the generator knows poses that a dozen shots do not show. The
    others become pose-mixup of two shots (paper eq. 7), mirrored or not, plus their own way from the mean pose under
    the linear map ``own_DD``; a shot is chosen by its weight. Most mixtures are near one of the two: ratios that are
    uniform, as in the paper, would leave a third of the shots' variance out. An affine map, the same for all, then
    brings mean and covariance nearer to what is known of the target's.

    Args:
        shots: number of shots.
        joints: of the skeleton.
        prior: share of poses that stay, 0 to 1.
        mirror: whether the target shows left and right alike.
    """

    def __init__(self, shots: int, joints: int, prior: float = 0.25, mirror: bool = True):
        super().__init__()
        self.config: dict[str, Any] = dict(shots=shots, joints=joints, prior=prior, mirror=mirror)
        self.register_buffer("shots_SJ2", torch.zeros(shots, joints, 2))
        self.register_buffer("weight_S", torch.full((shots,), 1 / shots))
        self.register_buffer("flip_J", torch.arange(joints))
        self.register_buffer("mean_J2", torch.zeros(joints, 2))
        self.register_buffer("own_DD", torch.zeros(2 * joints, 2 * joints))
        self.register_buffer("map_DD", torch.eye(2 * joints))
        self.register_buffer("shift_D", torch.zeros(2 * joints))

    def forward(self, poses_NJ2: torch.Tensor, numbers_NK: torch.Tensor) -> torch.Tensor:
        """Blended poses (N, J, 2), crop units, float32.

        Args:
            poses_NJ2: of the generator.
            numbers_NK: standard normal, NUMBERS a pose: they choose the shots, their ratio, the side, and who stays.
        """
        mixed_NJ2 = self.mixed(poses_NJ2, numbers_NK).flatten(1)
        return (mixed_NJ2 @ self.map_DD + self.shift_D).view_as(poses_NJ2)

    def mixed(self, poses_NJ2: torch.Tensor, numbers_NK: torch.Tensor) -> torch.Tensor:
        """:meth:`forward` without the affine map at its end."""
        uniform_NK = (torch.erf(numbers_NK / 2**0.5) + 1) / 2
        first_N, second_N, ratio_N, side_N, stay_N = uniform_NK.unbind(1)
        one_N, other_N = self._two_shots(first_N, second_N)
        near_N = 4 * torch.minimum(ratio_N, 1 - ratio_N) ** 3
        ratio_N11 = torch.where(ratio_N < 0.5, near_N, 1 - near_N)[:, None, None]
        anchors_NJ2 = ratio_N11 * self.shots_SJ2[one_N] + (1 - ratio_N11) * self.shots_SJ2[other_N]
        if self.config["mirror"]:
            other_side_NJ2 = mirrored(anchors_NJ2, self.flip_J)
            anchors_NJ2 = torch.where((side_N < 0.5)[:, None, None], other_side_NJ2, anchors_NJ2)
        drawn_NJ2 = anchors_NJ2 + ((poses_NJ2 - self.mean_J2).flatten(1) @ self.own_DD).view_as(poses_NJ2)
        return torch.where((stay_N < self.config["prior"])[:, None, None], poses_NJ2, drawn_NJ2)

    def _two_shots(self, first_N: torch.Tensor, second_N: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Two different shots for every pair of uniform numbers, by their weights."""
        end_S, last = self.weight_S.cumsum(0), len(self.weight_S) - 1
        one_N = (first_N[:, None] * end_S[-1] >= end_S).sum(1).clamp(max=last)
        weight_N, end_N = self.weight_S[one_N], end_S[one_N]
        at_N = second_N * (end_S[-1] - weight_N)  # the first shot's part of the line is left out
        at_N = torch.where(at_N >= end_N - weight_N, at_N + weight_N, at_N)
        other_N = (at_N[:, None] >= end_S).sum(1).clamp(max=last)
        return one_N, torch.where(other_N == one_N, (one_N + 1) % (last + 1), other_N)  # rounding at an edge
