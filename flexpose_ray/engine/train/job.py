"""What one worker of a pretraining trains, on which poses, as one of how many."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property

import torch

from flexpose_ray.config import PretrainConfig, Recipe
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import split_mixture


@dataclass(frozen=True)
class TrainingJob:
    """One worker's part of a pretraining.

    Attributes:
        recipe: its ``source`` and ``pretrain`` apply.
        train: source poses to train on.
        held: source poses to judge by.
        device: where the networks are trained.
        rank: of this worker; worker 0 writes everything that a run leaves.
        world: number of workers.
    """

    recipe: Recipe
    train: PoseSet
    held: PoseSet
    device: torch.device
    rank: int = 0
    world: int = 1

    @staticmethod
    def of(recipe: Recipe, poses: PoseSet, device: torch.device, rank: int = 0, world: int = 1) -> TrainingJob:
        """The job of worker ``rank``, with the recipe's source poses split as the recipe says."""
        return TrainingJob(recipe, *split_source(recipe, poses), device, rank, world)

    @property
    def settings(self) -> PretrainConfig:
        return self.recipe.pretrain

    @cached_property
    def alpha(self) -> Alpha:
        """Draws the skeletons that the networks see."""
        return alpha_of(self.recipe)

    @cached_property
    def bf16(self) -> bool:
        """Whether to train in bfloat16."""
        return fast_bf16(self.device) if self.settings.bf16 == "auto" else self.settings.bf16


def alpha_of(recipe: Recipe) -> Alpha:
    """Draws the skeletons of a run."""
    return Alpha(recipe.skeleton, **recipe.pretrain.alpha.model_dump())


def split_source(recipe: Recipe, poses: PoseSet) -> tuple[PoseSet, PoseSet]:
    """Split a run's source poses into (to train on, to judge by)."""
    p = recipe.pretrain
    return split_mixture(poses, p.held_out, p.seed, len(recipe.sources))


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is fast on ``device``: on CUDA, and on CPUs with instructions for it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()


def worker_threads(p: PretrainConfig, workers: int) -> int:
    """Torch threads of each worker on a CPU, where ``workers`` share the machine's cores."""
    return p.threads or max(1, (os.cpu_count() or 1) // workers)
