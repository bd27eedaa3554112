"""What all methods share: what they learn from, what they return, and how one is named and set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save

from flexpose_ray.methods import guidance
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.transfer import NONE, Transfer
from flexpose_ray.pose.skeleton import Skeleton
from flexpose_ray.training.loop import OnStep

Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

DrawPoses = Callable[[int, int], np.ndarray]  # (count, seed) -> poses_NJ2


@dataclass(frozen=True)
class PoseTask:
    """The poses that a method may learn from.

    Attributes:
        source_NJ2: source poses, crop units; may be None for methods that use none.
        shots_NJ2: the annotated target poses, crop units.
        skeleton: of both.
    """

    source_NJ2: np.ndarray | None
    shots_NJ2: np.ndarray
    skeleton: Skeleton

    @cached_property
    def mirror(self) -> bool:
        """Whether mirror images of the shots count as shots, for every method alike."""
        return guidance.both_sides(self.shots_NJ2, self.skeleton)

    @cached_property
    def sides_NJ2(self) -> np.ndarray:
        """The shots, and their mirror images where those count as shots."""
        return guidance.with_sides(np.asarray(self.shots_NJ2, np.float32), self.skeleton, self.mirror)

    def mixed(self, count: int, seed: int) -> np.ndarray:
        """``count`` poses by pose-mixup of the shots (paper eq. 7), half of them mirrored where that gives shots.

        Raises:
            DataError: fewer than two shots.
        """
        return guidance.mixed(self.shots_NJ2, count, np.random.default_rng(seed), self.skeleton, self.mirror)

    def guidance(self, mixup: int, seed: int) -> np.ndarray:
        """The guidance set: ``mixup`` poses by :meth:`mixed`, or ``sides_NJ2`` where ``mixup`` is 0.

        Raises:
            DataError: fewer than two shots.
        """
        guidance.need_two(self.shots_NJ2)
        return self.mixed(mixup, seed) if mixup else self.sides_NJ2


@dataclass(frozen=True)
class AdaptationTask(PoseTask):
    """Everything that a method may learn from. Methods leave the weights of the networks as they are.

    Attributes:
        networks: the pretrained networks of the source.
        aligned_NJ2: all target poses that are not held out; only the reference "aligned" may use them.
    """

    networks: Networks
    aligned_NJ2: np.ndarray


@dataclass(frozen=True)
class MethodResult:
    """What a method has learned.

    Attributes:
        draw: makes poses from a count and a seed; see :meth:`sample`.
        parameters: how many numbers were trained, or fitted to the shots.
        tensors: what an adapted model stores beside the generator or the source set, which are there anyway.
    """

    draw: DrawPoses
    parameters: int
    tensors: dict[str, torch.Tensor]

    def sample(self, count: int, seed: int) -> np.ndarray:
        """``count`` poses, float32 (N, J, 2) in crop units; the same seed gives the same poses."""
        return np.asarray(self.draw(count, seed), np.float32)

    @property
    def size(self) -> int:
        """Bytes of ``tensors`` as a safetensors file."""
        return stored_bytes(self.tensors)


Learn = Callable[[AdaptationTask, Any, OnStep, str], MethodResult]


@dataclass(frozen=True)
class Method:
    """A way to get from a few shots to many poses like them.

    Attributes:
        name: in recipes.
        title: in tables.
        family: "generator" adapts the generator; "keypoints" draws no skeletons; "reference" is not a method, but what
            there is without any, or with all annotations.
        settings: a frozen dataclass with the defaults.
        learn: ``learn(task, settings, on_step, device)``.
    """

    name: str
    title: str
    family: Literal["generator", "keypoints", "reference"]
    settings: Any
    learn: Learn

    def needs_stylegan(self, settings: Any) -> bool:
        """Whether it adapts what only a StyleGAN has: its weights, or its style codes."""
        return self.family == "generator" and getattr(settings, "layers", None) != NONE


def stored_bytes(tensors: dict[str, torch.Tensor]) -> int:
    """Bytes of a safetensors file that holds ``tensors``."""
    return len(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def drawn_by(
    generator: Generator | PoseFlow, task: AdaptationTask, device: str, transfer: Transfer | None = None
) -> DrawPoses:
    """Draw poses by sampling ``generator``, through tau where there is one."""
    sampler = replace(task.networks, generator=generator).sampler(transfer, device=device)
    return lambda count, seed: sampler.sample(seed, np.arange(count))[0]
