"""What all methods share: what they are given, what they leave, and how one is named and set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from safetensors.torch import save

from flexpose_ray.errors import DataError
from flexpose_ray.methods import guidance
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.skeleton import Skeleton
from flexpose_ray.training.distribution import Moments

Count = Annotated[int, Field(ge=1)]
Number = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]

Draw = Callable[[int, int], np.ndarray]  # (count, seed) -> poses_NJ2
OnStep = Callable[[dict], None]  # takes step, steps, loss, steps_s


@dataclass(frozen=True)
class GivenPoses:
    """What a method may learn from that needs no network.

    Attributes:
        source_NJ2: source poses, crop units; None does for methods that take none.
        shots_NJ2: the annotated target poses, crop units.
        skeleton: of both.
    """

    source_NJ2: np.ndarray | None
    shots_NJ2: np.ndarray
    skeleton: Skeleton

    @cached_property
    def mirror(self) -> bool:
        """Whether mirror images of the shots are shots, for every method alike."""
        return guidance.both_sides(self.shots_NJ2, self.skeleton)

    @cached_property
    def sides_NJ2(self) -> np.ndarray:
        """The shots, and their mirror images where those are shots too."""
        return guidance.with_sides(np.asarray(self.shots_NJ2, np.float32), self.skeleton, self.mirror)

    def mixed(self, count: int, seed: int) -> np.ndarray:
        """``count`` poses by pose-mixup of the shots (paper eq. 7), half of them mirrored where that makes shots.

        Raises:
            DataError: fewer than two shots.
        """
        return guidance.mixed(self.shots_NJ2, count, np.random.default_rng(seed), self.skeleton, self.mirror)

    def guidance(self, mixup: int, seed: int) -> np.ndarray:
        """:meth:`mixed` to ``mixup`` poses; ``sides_NJ2`` where that is 0.

        Raises:
            DataError: fewer than two shots.
        """
        if len(self.shots_NJ2) < 2:
            problem = f"adaptation needs at least two poses, found {len(self.shots_NJ2)}"
            raise DataError("shots", problem, "annotate more poses")
        return self.mixed(mixup, seed) if mixup else self.sides_NJ2


@dataclass(frozen=True)
class Given(GivenPoses):
    """What any method may learn from. It leaves the values of the networks as they are.

    Attributes:
        generator, discriminator, beta, alpha: of the source, pretrained.
        source: mean and covariance of the poses that the generator was trained on.
        aligned_NJ2: all target poses that are not held out; the reference "aligned" alone may look at them.
    """

    generator: Generator
    discriminator: Discriminator
    beta: Beta
    alpha: Alpha
    source: Moments
    aligned_NJ2: np.ndarray


@dataclass(frozen=True)
class Learned:
    """What a method leaves.

    Attributes:
        draw: makes poses out of a count and a seed; see :meth:`sample`.
        parameters: numbers that were trained, or fitted to the shots.
        tensors: what an adapted model holds on storage beside what is there anyway, the generator or the source set.
    """

    draw: Draw
    parameters: int
    tensors: dict[str, torch.Tensor]

    def sample(self, count: int, seed: int) -> np.ndarray:
        """``count`` poses, float32 (N, J, 2) in crop units; the same seed gives the same poses."""
        return np.asarray(self.draw(count, seed), np.float32)

    @property
    def size(self) -> int:
        """Bytes of ``tensors`` as a safetensors file."""
        return stored_bytes(self.tensors)


Learn = Callable[[Given, Any, OnStep, str], Learned]


@dataclass(frozen=True)
class Method:
    """A way from shots to poses like them.

    Attributes:
        name: in recipes.
        title: in tables.
        family: "generator" adapts the generator, "keypoints" never draws a skeleton, "reference" is no method: what
            one has without any, or with all annotations.
        settings: a frozen dataclass with the defaults.
        learn: ``learn(given, settings, on_step, device)``.
    """

    name: str
    title: str
    family: Literal["generator", "keypoints", "reference"]
    settings: Any
    learn: Learn


def stored_bytes(tensors: dict[str, torch.Tensor]) -> int:
    """Bytes of a safetensors file that holds ``tensors``."""
    return len(save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}))


def drawn_by(generator: Generator, given: Given, device: str, transfer: Transfer | None = None) -> Draw:
    """Poses that beta reads off images of ``generator``."""
    sampler = PoseSampler(generator, given.beta, given.alpha, "", transfer, device=device)
    return lambda count, seed: sampler.sample(seed, np.arange(count))[0]
