"""The mapping of a generator that a flow has taught: latents to the flow's poses, and these to w.

The flow decides which pose a latent is; what remains to be learned is how to draw it. Coordinates alone are too smooth
for a small network to place a limb to a fraction of a pixel, so it sees their sines and cosines too.
"""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.pose_flow import PoseFlow, PoseStudent
from flexpose_ray.networks.residual import ResidualMLP

FREQUENCIES = (1, 2, 4)  # of the sines and cosines, half turns a crop
FEATURES = 1 + 2 * len(FREQUENCIES)  # for every coordinate
TEACHER_KEYS = ("skeleton_name", "means", "student")


class PoseMapping(nn.Module):
    """f: latents to the intermediate latent space by way of poses, with the running mean of w for truncation.

    A latent is divided by its length, as in the classical mapping; its first numbers are the flow's. The teacher's
    weights are buffers, so that no training of the generator changes them.

    Args:
        z_size: size of a latent, no less than the flow's; of one much larger, the first numbers are nearly normal.
        w_size: size of w.
        teacher: config of a :class:`PoseFlow`, or of its :class:`PoseStudent`.
        sizes: width, hidden and depth of the :class:`ResidualMLP` from poses to w.

    Raises:
        ConfigError: a latent is smaller than the flow's.
    """

    def __init__(self, z_size: int, w_size: int, teacher: dict[str, Any], sizes: tuple[int, ...] | list[int]):
        super().__init__()
        self.teacher = as_buffers(PoseStudent(**{key: teacher[key] for key in TEACHER_KEYS}))
        if z_size < self.teacher.z_size:
            problem = f"{z_size} is less than the {self.teacher.z_size} numbers of the flow that teaches"
            raise ConfigError("z_size", problem, f"choose {2 * self.teacher.z_size} or more")
        self.net = ResidualMLP(FEATURES * self.teacher.z_size, w_size, *sizes)
        self.register_buffer("w_mean", torch.zeros(w_size))

    def learn_from(self, flow: PoseFlow) -> None:
        """Take over the poses of a flow of the config's shape."""
        mine = self.teacher.state_dict()
        self.teacher.load_state_dict({name: value for name, value in flow.state_dict().items() if name in mine})

    def poses(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """The flow's poses (N, J, 2) of latents, crop units; in float32 under autocast too."""
        with _float32(z_NZ):
            z_NZ = z_NZ * torch.rsqrt(z_NZ.square().mean(1, keepdim=True) + 1e-8)
            x_NZ, _ = self.teacher.one_step(z_NZ[:, : self.teacher.z_size])
            return self.teacher.poses(x_NZ)

    def of_poses(self, poses_NJ2: torch.Tensor) -> torch.Tensor:
        """w (N, D) of any poses."""
        with _float32(poses_NJ2):
            free_ND = poses_NJ2[:, self.teacher.free].flatten(1)
            waves = [wave(free_ND * (math.pi * k)) for k in FREQUENCIES for wave in (torch.sin, torch.cos)]
            features_NF = torch.cat([self.teacher.coordinates(poses_NJ2), *waves], 1)
        return self.net(features_NF)

    def forward(self, z_NZ: torch.Tensor) -> torch.Tensor:
        return self.of_poses(self.poses(z_NZ))


def as_buffers(module: nn.Module) -> nn.Module:
    """Turn all parameters of a module into buffers of the same names, in place."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            delattr(part, name)
            part.register_buffer(name, value.detach())
    return module


def _float32(x: torch.Tensor) -> AbstractContextManager:
    """Leave autocast, where it is on; a bfloat16 is too coarse for a coordinate."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
