"""What adversarial training is given: settings, poses, and the worker that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

Completion = Callable[[], None]  # waits for work in the background and ends it
Reduce = Callable[[list[torch.Tensor]], Completion]  # begins to average tensors over workers, in place
Gather = Callable[[torch.Tensor], torch.Tensor]  # rows of all workers, without gradients


@dataclass(frozen=True)
class GanSettings:
    """Settings of adversarial training.

    Attributes:
        batch: images a step, over all workers.
        lr: Adam's learning rate of both networks.
        r1_gamma: weight of the R1 penalty. Skeleton images need a large one: with a small one the discriminator wins.
        r1_every: steps from one R1 penalty to the next (lazy regularisation).
        ema_kimg: half-life of the averaged generator, in thousands of images.
        augment_target: mean sign of the logits of real images that the strength of augmentation is controlled to
            (Karras et al., 2020, "limited data"); None switches augmentation off.
        pose_weight: weight of the energy distance between the poses that beta reads from generated images and those of
            the source, in the generator's loss. It keeps rare poses in.
        pose_from_kimg: thousands of images after which that term begins; beta cannot read the first images.
        style_mixing: share of generated images whose finer styles come from a second latent (StyleGAN, 2018).
        path_length: weight of the penalty on path lengths (StyleGAN2).
        path_every: steps from one such penalty to the next.
        bf16: autocast to bfloat16, except for R1 and path lengths.
        seed: of the networks' initial values and of all random draws.
    """

    batch: int = 32
    lr: float = 0.002
    r1_gamma: float = 10.0
    r1_every: int = 16
    ema_kimg: float = 5.0
    augment_target: float | None = 0.6
    pose_weight: float = 15.0
    pose_from_kimg: float = 80.0
    style_mixing: float = 0.0
    path_length: float = 0.0
    path_every: int = 8
    bf16: bool = False
    seed: int = 0


@dataclass(frozen=True)
class RealPoses:
    """The poses to train on.

    Attributes:
        keypoints_NJ2: float32, crop units.
        weights_N: how often each pose is drawn, relative to the others; None: all alike.
    """

    keypoints_NJ2: np.ndarray
    weights_N: np.ndarray | None = None


@dataclass(frozen=True)
class Worker:
    """One of the workers that train together; the defaults are for a single one.

    Attributes:
        device: where it trains.
        rank, world: its number and how many there are; the batch must be a multiple of 4 times ``world``.
        reduce: begins to average gradients and statistics over workers in place; its result awaits the end.
        gather: stacks the rows of all workers.
    """

    device: torch.device | str = "cpu"
    rank: int = 0
    world: int = 1
    reduce: Reduce = lambda tensors: lambda: None
    gather: Gather = lambda rows: rows


SINGLE = Worker()
