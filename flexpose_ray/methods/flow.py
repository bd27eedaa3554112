"""A small flow matching model of poses: learned from the source, then fine-tuned on the guidance set.

A rectified flow (Liu et al., 2022; Lipman et al., 2022): an MLP v(x, t) learns the velocity x1 - x0 on straight lines
from normal noise x0 to poses x1, each coordinate at the source's mean and spread; sampling follows v from 0 to 1.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from flexpose_ray.methods.base import Count, Given, Learned, Number, OnStep, Positive, Share
from flexpose_ray.methods.keypoint import coral

WAVES = 4  # sines and cosines that tell the time
LEAST_STD = 1e-3  # of a coordinate, crop units


@dataclass(frozen=True)
class FlowSettings:
    """What the flow depends on.

    Attributes:
        width, depth: of the MLP's hidden layers.
        steps, lr: of Adam on the source; the rate falls to 0 along a cosine.
        tune_steps, tune_lr: on the guidance set, in the same way; 0 steps leave the flow of the source. More or larger
            ones forget the source's variety for the shots'.
        moved: share of source poses under CORAL's map in the batches of fine-tuning, the rest is shots and pose-mixup.
        mixup: size of the guidance set; 0 takes the shots alone.
        batch: poses a step.
        euler: steps from noise to a pose.
        seed: of everything drawn in training.
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
        poses_NJ2: give mean and spread of every coordinate.
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


def learn(given: Given, settings: FlowSettings, on_step: OnStep, device: str) -> Learned:
    """Train a flow on the source poses and fine-tune it.

    Raises:
        DataError: fewer than two shots.
    """
    s = settings
    guidance_NJ2 = given.guidance(s.mixup, s.seed)
    if s.moved:
        moved_NJ2 = coral(given.source_NJ2, given.sides_NJ2, len(given.source_NJ2), s.seed)
    else:
        moved_NJ2 = guidance_NJ2[:0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(s.seed)
        flow = Flow(given.source_NJ2, s.width, s.depth).to(device)
    rng = torch.Generator().manual_seed(s.seed)
    total = s.steps + s.tune_steps
    _fit(flow, [(given.source_NJ2, s.batch)], s.steps, s.lr, rng, on_step, 0, total)
    moved = round(s.moved * s.batch)
    parts = [(moved_NJ2, moved), (guidance_NJ2, s.batch - moved)]
    _fit(flow, parts, s.tune_steps, s.tune_lr, rng, on_step, s.steps, total)
    flow.eval()
    parameters = sum(p.numel() for p in flow.parameters())
    return Learned(lambda count, seed: flow.sample(count, seed, s.euler), parameters, flow.state_dict())


def _fit(
    flow: Flow,
    parts: list[tuple[np.ndarray, int]],
    steps: int,
    lr: float,
    rng: torch.Generator,
    on_step: OnStep,
    before: int,
    total: int,
) -> None:
    """Adam on batches of so many poses of every part."""
    if not steps:
        return
    device = flow.mean.device
    parts = [(torch.as_tensor(poses_NJ2, dtype=torch.float32), count) for poses_NJ2, count in parts if count]
    optimizer = torch.optim.Adam(flow.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    start = time.perf_counter()
    for step in range(1, steps + 1):
        batch = [poses[torch.randint(len(poses), (count,), generator=rng)] for poses, count in parts]
        loss = flow.loss(torch.cat(batch).to(device), rng)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        rate = step / (time.perf_counter() - start)
        on_step({"step": before + step, "steps": total, "loss": loss.item(), "steps_s": rate})
