"""Blend a generator's poses with the shots: mix shots in and correct mean and covariance."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from flexpose_ray.pose.geometry import mirrored

NUMBERS = 5  # normal numbers per pose, beside its latent


class Blend(nn.Module):
    """Map from the poses that beta reads from g_t(z) to the poses of the data set.

    A share ``prior`` of the poses stays unchanged: the generator knows poses that a dozen shots do not show. Each of
    the others becomes a pose-mixup of two shots (paper eq. 7), mirrored or not, plus its own offset from the mean pose
    under the linear map ``own_DD``; shots are chosen by weight. Most mixtures are close to one of the two shots,
    because uniform ratios, as in the paper, would lose a third of the shots' variance. Finally one affine map for all
    poses brings mean and covariance closer to the estimate of the target's.

    Args:
        shots: number of shots.
        joints: number of joints of the skeleton.
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
            poses_NJ2: poses of the generator, crop units.
            numbers_NK: standard normal, NUMBERS a pose: they choose the shots, their ratio, the side, and which poses
                stay.
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
        """Indices of two different shots for every pair of uniform numbers, by the shots' weights."""
        end_S, last = self.weight_S.cumsum(0), len(self.weight_S) - 1
        one_N = (first_N[:, None] * end_S[-1] >= end_S).sum(1).clamp(max=last)
        weight_N, end_N = self.weight_S[one_N], end_S[one_N]
        at_N = second_N * (end_S[-1] - weight_N)  # skip the first shot's interval
        at_N = torch.where(at_N >= end_N - weight_N, at_N + weight_N, at_N)
        other_N = (at_N[:, None] >= end_S).sum(1).clamp(max=last)
        return one_N, torch.where(other_N == one_N, (one_N + 1) % (last + 1), other_N)  # rounding at an interval's end
