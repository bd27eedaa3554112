"""LoRA on the generator: low-rank changes of the affines' matrices, and of the convolutions' kernels where wanted.

Hu et al., 2021, in the form of CoLoR-GAN (2025): trained adversarially on the guidance set, rank 1, a factor of 4 on
affines. CoLoR-GAN's factor of 0.1 on convolutions is for ten times as many steps as here; here it is 1. The poster
names LoRA without saying how it was trained; the public code trains adversarially. "perceptual" trains on pairs of
latents and guidance poses instead, as FlexPose does in the paper.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from flexpose_ray.methods.adversarial import AdversarialSettings, train
from flexpose_ray.methods.base import AdaptationTask, Count, MethodResult, Positive, drawn_by
from flexpose_ray.methods.pairs import pairs_loss
from flexpose_ray.networks.generator import Generator
from flexpose_ray.training.loop import OnStep, minimise


@dataclass(frozen=True)
class LoraSettings(AdversarialSettings):
    """Settings of LoRA, beside those of its training.

    Attributes:
        rank: of every low-rank change.
        scale: factor on the change of an affine's matrix.
        convs: change the convolutions' kernels too.
        conv_scale: factor on the change of a kernel.
        loss: "adversarial", or "perceptual" on pairs.
        pairing, gamma: of "perceptual"; see methods/pairs.py.
    """

    lr: Positive = 1e-2
    rank: Count = 1
    scale: Positive = 4.0
    convs: bool = False
    conv_scale: Positive = 1.0
    loss: Literal["adversarial", "perceptual"] = "adversarial"
    pairing: Literal["random", "nearest", "transport"] = "random"
    gamma: str = "beta"


class LowRank(nn.Module):
    """weight + scale / rank * up @ down; the change is zero at the start.

    Args:
        weight: a matrix, or a kernel, which is treated as a matrix of outputs by everything else.
        rng: CPU generator of the initial values.
    """

    def __init__(self, weight: torch.Tensor, rank: int, scale: float, rng: torch.Generator):
        super().__init__()
        n_out, n_in = weight.flatten(1).shape
        self.factor = scale / rank
        self.down = nn.Parameter(torch.randn(rank, n_in, generator=rng) / n_in**0.5)
        self.up = nn.Parameter(torch.zeros(n_out, rank))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return weight + self.factor * (self.up @ self.down).view_as(weight)


def with_lora(generator: Generator, settings: LoraSettings) -> Generator:
    """A copy of a generator in which only low-rank changes are trained."""
    changed, rng = copy.deepcopy(generator).cpu().requires_grad_(False), torch.Generator().manual_seed(settings.seed)
    layers = [(affine, settings.scale) for affine in (*changed.affines, *changed.output_affines)]
    if settings.convs:
        layers += [(conv, settings.conv_scale) for conv in (*changed.convs, *changed.outputs)]
    for layer, scale in layers:
        parametrize.register_parametrization(layer, "weight", LowRank(layer.weight, settings.rank, scale, rng))
    return changed.train()


def changes(generator: Generator) -> Iterator[tuple[str, torch.Tensor]]:
    """The low-rank matrices of :func:`with_lora`, by name."""
    return ((name, p) for name, p in generator.named_parameters() if name.endswith((".0.down", ".0.up")))


def learn(task: AdaptationTask, settings: LoraSettings, on_step: OnStep, device: str) -> MethodResult:
    """Train low-rank changes of the generator.

    Raises:
        DataError: fewer than two shots.
        ConfigError: more frozen blocks than there are, or an unknown gamma.
    """
    task.networks.need_stylegan("lora")
    generator = with_lora(task.networks.generator, settings)
    if settings.loss == "adversarial":
        generator = train(generator, task, settings, on_step, device)
    else:
        _train_on_pairs(generator, task, settings, on_step, device)
    tensors = {name: p.detach().clone() for name, p in changes(generator)}
    for layer in generator.modules():
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")  # leaves the changed weight
    return MethodResult(drawn_by(generator, task, device), sum(t.numel() for t in tensors.values()), tensors)


def _train_on_pairs(generator: Generator, task: AdaptationTask, s: LoraSettings, on_step: OnStep, device: str) -> None:
    """Minimise the perceptual distance between g(z_m) and alpha(t_m), in place."""
    guidance_NJ2, networks = task.guidance(s.mixup, s.seed), task.networks
    sampler = replace(networks, generator=copy.deepcopy(networks.generator)).sampler(device=device)
    discriminator = networks.need_discriminator("lora").to(device).requires_grad_(False)
    generator.to(device, memory_format=torch.channels_last)
    loss = pairs_loss(generator, sampler, discriminator, guidance_NJ2, s, np.random.default_rng(s.seed))
    minimise(loss, [p for _, p in changes(generator)], s.lr, s.steps, on_step)
