"""Adversarial training on the guidance set: the whole generator (TransferGAN) and FreezeD.

Wang et al., 2018 ("Transferring GANs") fine-tune both networks on the target. Mo et al., 2020 ("Freeze the
discriminator") leave the discriminator's lower layers as the source made them. The guidance set, shots and pose-mixup,
takes the place of a target set, as for all methods; mirror images are in it where they look like shots.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.methods.base import Count, Given, Learned, Number, OnStep, Positive, drawn_by
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.training.gan import GanSettings, GanTrainer


@dataclass(frozen=True)
class AdversarialSettings:
    """What adversarial training depends on.

    Attributes:
        mixup: size of the guidance set by pose-mixup; 0 takes the shots alone.
        frozen: blocks of the discriminator, finest first, that stay with the layer before them; 0 trains all of it.
        steps, batch, lr: of Adam, for both networks.
        r1_gamma, r1_every: the lazy R1 penalty.
        ema_kimg: half-life of the averaged generator, which is sampled, in thousands of images.
        seed: of latents, mixup and batches.
    """

    mixup: Number = 1000
    frozen: Number = 0
    steps: Count = 200
    batch: Count = 16
    lr: Positive = 5e-4
    r1_gamma: Positive = 10.0
    r1_every: Count = 16
    ema_kimg: Positive = 0.5
    seed: Number = 0


class HalfFrozen(Discriminator):
    """A discriminator whose lower layers never learn.

    Args:
        discriminator: what it starts as.
        frozen: blocks that stay, finest first, with the layer before them; 0 leaves none.

    Raises:
        ConfigError: more blocks than there are.
    """

    def __init__(self, discriminator: Discriminator, frozen: int):
        super().__init__(**discriminator.config)
        self.load_state_dict(discriminator.state_dict())
        if frozen > len(self.blocks):
            raise ConfigError("frozen", f"{frozen} blocks", f"this discriminator has {len(self.blocks)}")
        self.frozen = frozen

    def requires_grad_(self, requires_grad: bool = True) -> HalfFrozen:
        super().requires_grad_(requires_grad)
        for part in (self.enter, *self.blocks[: self.frozen]) if self.frozen else ():
            part.requires_grad_(False)
        return self


class ShotsTrainer(GanTrainer):
    """Training on the guidance set as it is, without further mirror images."""

    def real_poses(self, rows_N: np.ndarray, mirror_N: np.ndarray) -> torch.Tensor:
        return super().real_poses(rows_N, np.zeros_like(mirror_N))


def learn(given: Given, settings: AdversarialSettings, on_step: OnStep, device: str) -> Learned:
    """Fine-tune the whole generator.

    Raises:
        DataError: fewer than two shots.
        ConfigError: more frozen blocks than there are.
    """
    generator = copy.deepcopy(given.generator).train().requires_grad_(True)
    averaged = train(generator, given, settings, on_step, device)
    parameters = sum(p.numel() for p in averaged.parameters())
    return Learned(drawn_by(averaged, given, device), parameters, averaged.state_dict())


def train(generator: Generator, given: Given, settings: AdversarialSettings, on_step: OnStep, device: str) -> Generator:
    """Train what of ``generator`` wants gradients against a copy of the discriminator; returns its moving average."""
    s = settings
    guidance_NJ2 = given.guidance(s.mixup, s.seed)
    discriminator = HalfFrozen(given.discriminator, s.frozen).train().requires_grad_(True)
    gan = GanSettings(s.batch, s.lr, s.r1_gamma, s.r1_every, s.ema_kimg, None, 0.0, seed=s.seed)
    trainer = ShotsTrainer(generator, discriminator, given.alpha, guidance_NJ2, gan, device)
    start = time.perf_counter()
    for step in range(1, s.steps + 1):
        losses = trainer.step()
        rate = step / (time.perf_counter() - start)
        on_step({"step": step, "steps": s.steps, "loss": losses["g_loss"], "steps_s": rate})
    return trainer.averaged
