"""AdaGAN: scale and shift of the generator's features, and a latent a shot (Noguchi and Harada, 2019).

The poster names "AdaGAN" without a reference; we infer that it means the batch statistics adaptation of Noguchi and
Harada ("Image generation from small datasets via batch statistics adaptation"). They train only the scales and shifts
of the generator's features and one latent per image, with L1 and perceptual distance between g(z_i + noise) and the
image, and an earth mover's term that keeps the latents like normal noise. Images are sampled at a reduced spread of
the latents.

This generator has no batch normalisation. A factor on every entry of the style codes scales the input features, and the
convolutions' biases shift the output features. Its mapping divides a latent by its length, so a smaller spread of z
would change nothing: w is drawn towards its mean instead.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from flexpose_ray.methods.base import AdaptationTask, Count, MethodResult, Number, Positive, Share, drawn_by
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.perceptual import make_gamma, perceptual_distance
from flexpose_ray.networks.transfer import Transfer, W
from flexpose_ray.training.loop import OnStep, minimise


@dataclass(frozen=True)
class AdaGanSettings:
    """Settings of AdaGAN.

    Attributes:
        mixup: number of mixed poses to train on, each with a mix of the shots' latents; 0 takes the shots alone.
        steps, batch: of Adam.
        lr: learning rate of scales and shifts.
        latent_lr: learning rate of the latents.
        gamma: features of the perceptual term; see networks/perceptual.py.
        perceptual, mover: weights of these terms beside L1.
        noise: standard deviation of the noise added to latents in training.
        spread: share of w's distance from its mean that samples keep. All of it is best here, where variety counts;
            Noguchi and Harada, who judge single images, keep less.
        seed: of latents, mixup and batches.
    """

    mixup: Number = 1000
    steps: Count = 300
    batch: Count = 16
    lr: Positive = 5e-3
    latent_lr: Positive = 5e-2
    gamma: str = "beta"
    perceptual: float = 1.0
    mover: float = 0.1
    noise: float = 0.1
    spread: Share = 1.0
    seed: Number = 0


class Scaled(nn.Module):
    """Everything that is trained: scales of a generator's style codes, and its convolutions' biases.

    Args:
        generator: a copy; its biases are trained in place.
    """

    def __init__(self, generator: Generator):
        super().__init__()
        self.generator = generator.requires_grad_(False)
        self.scales = nn.ParameterList(torch.ones(len(affine.weight)) for affine in generator.affines)
        self.shifts = nn.ParameterList(conv.bias.requires_grad_(True) for conv in generator.convs)

    def forward(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """Latents to images."""
        w_ND = self.generator.mapping(z_NZ)
        styles = [style * scale for style, scale in zip(self.generator.styles(w_ND), self.scales, strict=True)]
        return self.generator.synthesis(styles, w_ND)

    def fold(self) -> Generator:
        """The generator, with the scales multiplied into its affines."""
        with torch.no_grad():
            for affine, scale in zip(self.generator.affines, self.scales, strict=True):
                affine.weight.mul_(scale[:, None])
                affine.bias.mul_(scale)
        return self.generator

    def tensors(self) -> dict[str, torch.Tensor]:
        """Copies of scales and shifts, by name."""
        parts = {"scales": self.scales, "shifts": self.shifts}
        return {f"{name}.{i}": p.detach().clone() for name, part in parts.items() for i, p in enumerate(part)}


def learn(task: AdaptationTask, settings: AdaGanSettings, on_step: OnStep, device: str) -> MethodResult:
    """Train scales, shifts and latents.

    Raises:
        DataError: fewer than two shots.
        ConfigError: unknown gamma.
    """
    s, rng, networks = settings, np.random.default_rng(settings.seed), task.networks
    discriminator = networks.need_discriminator("adagan")
    model = Scaled(copy.deepcopy(networks.generator)).to(device, memory_format=torch.channels_last)
    z_size, shots_MJ2 = model.generator.z_size, torch.as_tensor(task.guidance(0, s.seed))
    mixes_NM = _mixes(len(shots_MJ2), s.mixup, rng)
    z_MZ = nn.Parameter(torch.as_tensor(rng.standard_normal((len(shots_MJ2), z_size), np.float32)).to(device))
    for part in (networks.beta, discriminator):
        part.to(device).eval().requires_grad_(False)
    gamma = make_gamma(s.gamma, networks.beta, discriminator)

    def loss(step: int) -> torch.Tensor:
        mix_NM = torch.as_tensor(mixes_NM[rng.integers(len(mixes_NM), size=s.batch)])
        noise_NZ, normal_NZ = (torch.as_tensor(rng.standard_normal((s.batch, z_size), np.float32)) for _ in "ab")
        wanted = networks.alpha.draw((mix_NM @ shots_MJ2.flatten(1)).view(-1, *shots_MJ2.shape[1:]).to(device))
        images = model(mix_NM.to(device) @ z_MZ + s.noise * noise_NZ.to(device))
        value = (images - wanted).abs().mean() + s.mover * _mover(z_MZ, normal_NZ.to(device))
        if s.perceptual:
            value = value + s.perceptual * perceptual_distance(gamma(images), gamma(wanted))
        return value

    groups = [{"params": [*model.scales, *model.shifts]}, {"params": [z_MZ], "lr": s.latent_lr}]
    minimise(loss, groups, s.lr, s.steps, on_step)
    tensors = model.tensors()
    parameters = sum(t.numel() for t in tensors.values()) + z_MZ.numel()
    narrowed = _narrowing(model.generator, s.spread)
    return MethodResult(drawn_by(model.fold(), task, device, narrowed), parameters, tensors)


def _mixes(shots: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """Weights of the shots in every guidance pose (N, M): those of pose-mixup, or one shot each."""
    mixes_NM = np.eye(shots, dtype=np.float32)
    if not count:
        return mixes_NM
    first_N = rng.integers(shots, size=count)
    second_N = (first_N + rng.integers(1, shots, size=count)) % shots
    ratio_N1 = rng.random((count, 1), dtype=np.float32)
    return ratio_N1 * mixes_NM[first_N] + (1 - ratio_N1) * mixes_NM[second_N]


def _mover(z_MZ: torch.Tensor, normal_NZ: torch.Tensor) -> torch.Tensor:
    """Distance of latents from normal noise: mean squared distance per coordinate to the nearest, both ways."""
    square_MN = torch.cdist(z_MZ, normal_NZ).square() / z_MZ.shape[1]
    return square_MN.amin(0).mean() + square_MN.amin(1).mean()


def _narrowing(generator: Generator, spread: float) -> Transfer:
    """The map that draws w towards its mean."""
    transfer = Transfer.for_generator(generator, W, bias=True)
    with torch.no_grad():
        transfer.maps[W].weight.mul_(spread)
        transfer.maps[W].bias.copy_((1 - spread) * generator.mapping.w_mean)
    return transfer
