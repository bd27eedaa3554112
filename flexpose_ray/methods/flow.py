"""A small flow matching model of poses: trained on the source, then fine-tuned on the guidance set.

A rectified flow (Liu et al., 2022; Lipman et al., 2022): an MLP v(x, t) learns the velocity x1 - x0 on straight lines
from normal noise x0 to poses x1, each coordinate at the source's mean and spread; sampling follows v from 0 to 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from flexpose_ray.methods.base import AdaptationTask, Count, MethodResult, Number, Positive, Share
from flexpose_ray.methods.simple import coral_poses
from flexpose_ray.training.loop import OnStep, minimise

WAVES = 4  # frequencies of the sines and cosines that encode the time
LEAST_STD = 1e-3  # of a coordinate, crop units


@dataclass(frozen=True)
class FlowSettings:
    """Settings of the flow.

    Attributes:
        width, depth: of the MLP's hidden layers.
        steps, lr: of Adam on the source; the rate falls to 0 along a cosine.
        tune_steps, tune_lr: the same on the guidance set; 0 steps keep the flow of the source. More or larger steps
            lose the source's variety.
        moved: share of source poses under CORAL's map in the batches of fine-tuning; the rest is the guidance set.
        mixup: size of the guidance set; 0 takes the shots alone.
        batch: poses per step.
        euler: number of Euler steps from noise to a pose.
        seed: of all random draws in training.
    """

    width: Count = 256
    depth: Count = 3
    steps: Count = 3000
    lr: Positive = 1e-3
    tune_steps: Number = 100
    tune_lr: Positive = 1e-4
    moved: Share = 0.0
    mixup: Number = 1000
    batch: Count = 512
    euler: Count = 40
    seed: Number = 0


class Flow(nn.Module):
    """v(x, t) on poses whose coordinates have mean 0 and spread 1.

    Args:
        poses_NJ2: the poses that mean and spread of every coordinate are taken from.
        width, depth: of the hidden layers.
    """

    def __init__(self, poses_NJ2: np.ndarray, width: int, depth: int):
        super().__init__()
        flat_ND = torch.as_tensor(poses_NJ2, dtype=torch.float32).flatten(1)
        self.register_buffer("mean", flat_ND.mean(0))
        self.register_buffer("std", flat_ND.std(0).clamp_min(LEAST_STD))
        size = flat_ND.shape[1]
        self.enter = nn.Linear(size + 2 * WAVES, width)
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.leave = nn.Linear(width, size)

    def forward(self, x_ND: torch.Tensor, t_N1: torch.Tensor) -> torch.Tensor:
        angles_NK = t_N1 * math.pi * 2.0 ** torch.arange(WAVES, device=x_ND.device)
        h = F.silu(self.enter(torch.cat([x_ND, angles_NK.sin(), angles_NK.cos()], 1)))
        for layer in self.hidden:
            h = h + F.silu(layer(h))
        return self.leave(h)

    def loss(self, poses_NJ2: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        """Mean squared error of the velocity at random times on the way to ``poses_NJ2``."""
        x1_ND = (poses_NJ2.flatten(1) - self.mean) / self.std
        x0_ND = torch.randn(x1_ND.shape, generator=rng).to(x1_ND)
        t_N1 = torch.rand(len(x1_ND), 1, generator=rng).to(x1_ND)
        return F.mse_loss(self(x0_ND + t_N1 * (x1_ND - x0_ND), t_N1), x1_ND - x0_ND)

    @torch.inference_mode()
    def sample(self, count: int, seed: int, euler: int) -> np.ndarray:
        """Poses (count, J, 2), by ``euler`` steps of Euler's method."""
        rng = torch.Generator().manual_seed(seed)
        x_ND = torch.randn(count, len(self.mean), generator=rng).to(self.mean)
        for step in range(euler):
            x_ND = x_ND + self(x_ND, torch.full((count, 1), step / euler).to(x_ND)) / euler
        return (x_ND * self.std + self.mean).view(count, -1, 2).cpu().numpy()


def learn(task: AdaptationTask, settings: FlowSettings, on_step: OnStep, device: str) -> MethodResult:
    """Train a flow on the source poses and fine-tune it.

    Raises:
        DataError: fewer than two shots.
    """
    s, total = settings, settings.steps + settings.tune_steps
    guidance_NJ2, moved_NJ2 = task.guidance(s.mixup, s.seed), task.source_NJ2[:0]
    if s.moved:
        moved_NJ2 = coral_poses(task.source_NJ2, task.sides_NJ2, len(task.source_NJ2), s.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(s.seed)
        flow = Flow(task.source_NJ2, s.width, s.depth).to(device)
    rng = torch.Generator().manual_seed(s.seed)
    moved = round(s.moved * s.batch)
    source, tuning = [(task.source_NJ2, s.batch)], [(moved_NJ2, moved), (guidance_NJ2, s.batch - moved)]
    for parts, steps, lr, before in ((source, s.steps, s.lr, 0), (tuning, s.tune_steps, s.tune_lr, s.steps)):

        def report(row: dict, before: int = before) -> None:
            on_step({**row, "step": before + row["step"], "steps": total})

        minimise(_batch_loss(flow, parts, rng), flow.parameters(), lr, steps, report)
    flow.eval()
    parameters = sum(p.numel() for p in flow.parameters())
    return MethodResult(lambda count, seed: flow.sample(count, seed, s.euler), parameters, flow.state_dict())


def _batch_loss(flow: Flow, parts: list[tuple[np.ndarray, int]], rng: torch.Generator) -> Callable[[int], torch.Tensor]:
    """The loss of a batch with a given number of poses of every part."""
    parts = [(torch.as_tensor(poses_NJ2, dtype=torch.float32), count) for poses_NJ2, count in parts if count]

    def loss(step: int) -> torch.Tensor:
        batch = [poses[torch.randint(len(poses), (count,), generator=rng)] for poses, count in parts]
        return flow.loss(torch.cat(batch).to(flow.mean.device), rng)

    return loss
