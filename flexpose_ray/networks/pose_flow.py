"""The generator of kind `flow`: normal numbers to poses, without images.

A rectified flow (Liu et al., 2022; Lipman et al., 2022): a network v(x, t) learns the velocity x1 - x0 on straight
lines from normal noise x0 to poses x1. Following v from 0 to 1 by Heun's method turns noise into a pose; a student
learns where that leads and goes there in one step. Both work on the coordinates of the joints that are not means of
others, each at the source's mean and spread.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import torch
from torch import nn

from flexpose_ray.networks.residual import ResidualMLP
from flexpose_ray.pose.geometry import CROP_FILL
from flexpose_ray.pose.skeleton import Skeleton, get_skeleton

WAVES = 6  # frequencies of the sines and cosines that encode the time
HEUN_STEPS = 12
LEAST_STD = 1e-3  # of a coordinate, crop units
CONFIDENCE_SCALE = 0.05  # error that takes a joint's confidence to 1/e, crop units
EXACT = 1e-4  # distance up to which a joint counts as a mean of two others, crop units


class PoseStudent(nn.Module):
    """Normal numbers z to poses of the source in one step: a flow's student without the velocity field it learned from.

    Args:
        skeleton_name: of the poses.
        means: ``[joint, a, b]`` for every joint that is the mean of two others; see :func:`joint_means`.
        student: width, hidden and depth of the student, a :class:`ResidualMLP`.
    """

    def __init__(
        self, skeleton_name: str, means: list[list[int]], student: list[int] | tuple[int, ...] = (256, 512, 3)
    ):
        super().__init__()
        means = [list(mean) for mean in means]
        self.config: dict[str, Any] = dict(skeleton_name=skeleton_name, means=means, student=list(student))
        joints = get_skeleton(skeleton_name).n_joints
        fixed = [joint for joint, _, _ in means]
        self.joints, self.free = joints, [joint for joint in range(joints) if joint not in fixed]
        self.z_size = 2 * len(self.free)
        self.student = ResidualMLP(self.z_size, self.z_size + joints, *student)
        self.register_buffer("mean", torch.zeros(self.z_size))
        self.register_buffer("std", torch.ones(self.z_size))
        places = [*self.free, *fixed]  # of joints in the order that they are found in
        for name, found in {
            "_first": [self.free.index(a) for _, a, _ in means],
            "_second": [self.free.index(b) for _, _, b in means],
            "_order": [places.index(joint) for joint in range(joints)],
        }.items():
            self.register_buffer(name, torch.tensor(found, dtype=torch.long), persistent=False)

    def coordinates(self, poses_NJ2: torch.Tensor) -> torch.Tensor:
        """The coordinates (N, Z) that the flow works on; of mean 0 and spread 1 over the source."""
        return (poses_NJ2[:, self.free].flatten(1) - self.mean) / self.std

    def one_step(self, z_NZ: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The student: coordinates (N, Z), and the logarithm of every joint's expected error (N, J), crop units."""
        found = self.student(z_NZ)
        return found[:, : self.z_size], found[:, self.z_size :]

    def joints_at(self, x_NZ: torch.Tensor) -> torch.Tensor:
        """All joints (N, J, 2) at some coordinates, crop units, without the exact size of :meth:`poses`."""
        free_NF2 = (x_NZ * self.std + self.mean).view(-1, len(self.free), 2)
        if not self.config["means"]:
            return free_NF2
        means_NM2 = (free_NF2.index_select(1, self._first) + free_NF2.index_select(1, self._second)) / 2
        return torch.cat([free_NF2, means_NM2], 1).index_select(1, self._order)

    def poses(self, x_NZ: torch.Tensor) -> torch.Tensor:
        """Keypoints (N, J, 2) in crop units from coordinates: the box in the middle, its longer side at 0.8."""
        poses_NJ2 = self.joints_at(x_NZ)
        low_N12, high_N12 = poses_NJ2.amin(1, keepdim=True), poses_NJ2.amax(1, keepdim=True)
        side_N11 = (high_N12 - low_N12).amax(2, keepdim=True).clamp_min(LEAST_STD)
        return (poses_NJ2 - (low_N12 + high_N12) / 2) * (CROP_FILL / side_N11) + 0.5

    def forward(self, z_NZ: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses in one step.

        Returns:
            keypoints_NJ2: crop units.
            confidence_NJ: exp(-e / 0.05), where e is how far, in crop units, the student expects the joint to be from
                where the flow itself leads.
        """
        x_NZ, log_error_NJ = self.one_step(z_NZ)
        return self.poses(x_NZ), torch.exp(-log_error_NJ.exp() / CONFIDENCE_SCALE)


class PoseFlow(PoseStudent):
    """Normal numbers z to poses of the source, by a velocity field or by its student.

    Args:
        skeleton_name, means, student: as of :class:`PoseStudent`.
        width, hidden, depth: of the velocity field, a :class:`ResidualMLP`.
    """

    n_layers, style_sizes, w_size = 0, [], 0  # there are no style layers

    def __init__(
        self,
        skeleton_name: str,
        means: list[list[int]],
        width: int = 256,
        hidden: int = 512,
        depth: int = 3,
        student: list[int] | tuple[int, ...] = (256, 512, 3),
    ):
        super().__init__(skeleton_name, means, student)
        self.config |= dict(width=width, hidden=hidden, depth=depth)
        self.field = ResidualMLP(self.z_size + 2 * WAVES, self.z_size, width, hidden, depth)

    def fit_scale(self, poses_NJ2: np.ndarray) -> None:
        """Take mean and spread of every coordinate from the poses to be trained on."""
        flat_ND = torch.as_tensor(np.asarray(poses_NJ2, np.float64)[:, self.free]).flatten(1)
        self.mean.copy_(flat_ND.mean(0))
        self.std.copy_(flat_ND.std(0).clamp_min(LEAST_STD))

    def velocity(self, x_NZ: torch.Tensor, t_N1: torch.Tensor) -> torch.Tensor:
        """v(x, t) at times in [0, 1]."""
        angles_NK = t_N1 * math.pi * 2.0 ** torch.arange(WAVES, device=x_NZ.device)
        return self.field(torch.cat([x_NZ, angles_NK.sin(), angles_NK.cos()], 1))

    def solve(self, z_NZ: torch.Tensor, steps: int = HEUN_STEPS) -> torch.Tensor:
        """Follow the velocity from z at time 0 to time 1 by Heun's method, the last step by Euler's.

        Returns:
            The coordinates (N, Z) of poses; :meth:`poses` turns them into keypoints.
        """
        x_NZ = z_NZ
        for step in range(steps):
            now, then = (torch.full((len(x_NZ), 1), at / steps, device=x_NZ.device) for at in (step, step + 1))
            slope = self.velocity(x_NZ, now)
            if step < steps - 1:
                slope = (slope + self.velocity(x_NZ + slope / steps, then)) / 2
            x_NZ = x_NZ + slope / steps
        return x_NZ


def joint_means(poses_NJ2: np.ndarray, skeleton: Skeleton) -> list[list[int]]:
    """Find the joints that are the mean of a left joint and its mirror image in all poses: often neck and pelvis.

    Returns:
        ``[joint, a, b]`` for each, by joint.
    """
    pairs = [(a, b) for a, b in enumerate(skeleton.flip) if a < b]
    middle = [joint for joint, other in enumerate(skeleton.flip) if joint == other]
    return [
        [joint, a, b]
        for joint, (a, b) in itertools.product(middle, pairs)
        if np.abs(poses_NJ2[:, joint] - (poses_NJ2[:, a] + poses_NJ2[:, b]) / 2).max(initial=0) <= EXACT
    ]
