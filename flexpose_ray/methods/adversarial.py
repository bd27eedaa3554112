"""Adversarial training on the guidance set: the whole generator (TransferGAN) and FreezeD.

Wang et al., 2018 ("Transferring GANs") fine-tune both networks on the target. Mo et al., 2020 ("Freeze the
discriminator") keep the discriminator's lower layers as they are after training on the source. The guidance set (shots
and pose-mixup) takes the place of a target set, as for all methods; it holds mirror images where they look like shots.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.methods.base import AdaptationTask, Count, MethodResult, Number, Positive, drawn_by
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.training.gan import GanTrainer
from flexpose_ray.training.loop import OnStep, run_steps
from flexpose_ray.training.settings import GanSettings, RealPoses, Worker


@dataclass(frozen=True)
class AdversarialSettings:
    """Settings of adversarial training.

    Attributes:
        mixup: size of the guidance set by pose-mixup; 0 takes the shots alone.
        frozen: number of the discriminator's blocks, finest first, that are frozen with the layer before them; 0 trains
            all of it.
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
    """A discriminator whose lower layers are never trained.

    Args:
        discriminator: where its weights start.
        frozen: number of frozen blocks, finest first, with the layer before them; 0 freezes nothing.

    Raises:
        ConfigError: more blocks than there are.
    """

    def __init__(self, discriminator: Discriminator, frozen: int):
        super().__init__(**discriminator.config)
        self.load_state_dict(discriminator.state_dict())
        if frozen > len(self.blocks):
            raise ConfigError("frozen", f"cannot freeze {frozen} blocks", f"this discriminator has {len(self.blocks)}")
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


def learn(task: AdaptationTask, settings: AdversarialSettings, on_step: OnStep, device: str) -> MethodResult:
    """Fine-tune the whole generator.

    Raises:
        DataError: fewer than two shots.
        ConfigError: more frozen blocks than there are.
    """
    task.networks.need_stylegan("fine-tuning")
    generator = copy.deepcopy(task.networks.generator).train().requires_grad_(True)
    averaged = train(generator, task, settings, on_step, device)
    parameters = sum(p.numel() for p in averaged.parameters())
    return MethodResult(drawn_by(averaged, task, device), parameters, averaged.state_dict())


def train(
    generator: Generator, task: AdaptationTask, settings: AdversarialSettings, on_step: OnStep, device: str
) -> Generator:
    """Train the parameters of ``generator`` that require gradients, against a copy of the discriminator.

    Returns:
        The moving average of the generator.
    """
    s, networks = settings, task.networks
    poses = RealPoses(task.guidance(s.mixup, s.seed))
    discriminator = (
        HalfFrozen(networks.need_discriminator("adversarial training"), s.frozen).train().requires_grad_(True)
    )
    gan = GanSettings(s.batch, s.lr, s.r1_gamma, s.r1_every, s.ema_kimg, None, 0.0, seed=s.seed)
    trainer = ShotsTrainer(generator, discriminator, networks.alpha, poses, gan, Worker(device))
    run_steps(lambda step: trainer.step()["g_loss"], s.steps, on_step)
    return trainer.averaged
