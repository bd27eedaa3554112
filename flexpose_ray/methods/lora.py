"""LoRA on the generator: low-rank changes of the affines' matrices, and of the convolutions' kernels where wanted.

Hu et al., 2021, in the form of CoLoR-GAN (2025): trained adversarially on the guidance set, rank 1, a factor of 4 on
affines. Its factor of 0.1 on convolutions goes with ten times as many steps as here; here it is 1. The poster names
LoRA without saying how it was trained; the adversarial way is that of the public code. "perceptual" trains on pairs of
latents and guidance poses instead, as FlexPose does in the paper.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn
from torch.nn.utils import parametrize

from flexpose_ray.methods.adversarial import AdversarialSettings, train
from flexpose_ray.methods.base import Count, Given, Learned, OnStep, Positive, drawn_by
from flexpose_ray.methods.flexpose import pair_latents
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.perceptual import make_gamma, perceptual_distance
from flexpose_ray.networks.sampler import PoseSampler


@dataclass(frozen=True)
class LoraSettings(AdversarialSettings):
    """What LoRA depends on, beside how it is trained.

    Attributes:
        rank: of every change.
        scale: factor on the change of an affine's matrix.
        convs: change the convolutions' kernels too.
        conv_scale: factor on the change of a kernel.
        loss: "adversarial", or "perceptual" on pairs.
        pairing, gamma: of "perceptual"; see methods/flexpose.py.
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
    """weight + scale / rank * up @ down; nothing at the start.

    Args:
        weight: a matrix, or a kernel, which counts as a matrix of outputs by all else.
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
    """A copy of a generator of which only low-rank changes learn."""
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


def learn(given: Given, settings: LoraSettings, on_step: OnStep, device: str) -> Learned:
    """Train low-rank changes of the generator.

    Raises:
        DataError: fewer than two shots.
        ConfigError: more frozen blocks than there are, or an unknown gamma.
    """
    generator = with_lora(given.generator, settings)
    if settings.loss == "adversarial":
        generator = train(generator, given, settings, on_step, device)
    else:
        _train_on_pairs(generator, given, settings, on_step, device)
    tensors = {name: p.detach().clone() for name, p in changes(generator)}
    for layer in generator.modules():
        if parametrize.is_parametrized(layer):
            parametrize.remove_parametrizations(layer, "weight")  # leaves the changed weight
    return Learned(drawn_by(generator, given, device), sum(t.numel() for t in tensors.values()), tensors)


def _train_on_pairs(generator: Generator, given: Given, s: LoraSettings, on_step: OnStep, device: str) -> None:
    """Adam on the perceptual loss between g(z_m) and alpha(t_m), in place."""
    guidance_NJ2 = given.guidance(s.mixup, s.seed)
    sampler = PoseSampler(copy.deepcopy(given.generator), given.beta, given.alpha, "", device=device)
    z_NZ = torch.as_tensor(pair_latents(sampler, guidance_NJ2, s.pairing, s.seed))
    gamma = make_gamma(s.gamma, sampler.beta, given.discriminator.to(device).requires_grad_(False))
    generator.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.Adam([p for _, p in changes(generator)], lr=s.lr)
    rng, start = np.random.default_rng(s.seed), time.perf_counter()
    for step in range(1, s.steps + 1):
        rows = rng.choice(len(guidance_NJ2), min(s.batch, len(guidance_NJ2)), replace=False)
        wanted = given.alpha.draw(torch.as_tensor(guidance_NJ2[rows]).to(device))
        loss = perceptual_distance(gamma(generator(z_NZ[rows].to(device))), gamma(wanted))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        rate = step / (time.perf_counter() - start)
        on_step({"step": step, "steps": s.steps, "loss": loss.item(), "steps_s": rate})
