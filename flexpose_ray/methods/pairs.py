"""Train on pairs of a latent and a guidance pose, whose images are to look alike (paper eq. 5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.perceptual import make_gamma, perceptual_distance
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.pose.latents import latents

PAIRINGS = ("random", "nearest", "transport")


def pair_latents(sampler: StyleGanSampler, guidance_NJ2: np.ndarray, pairing: str, seed: int) -> np.ndarray:
    """One latent for every guidance pose.

    Args:
        sampler: its samples are compared with the guidance poses.
        guidance_NJ2: the guidance set, crop units.
        pairing: "random": no comparison; "nearest": the nearest of four times as many samples; "transport": one to one
            at the least total squared distance.
        seed: of the latents.

    Returns:
        z_NZ.

    Raises:
        ConfigError: unknown pairing.
    """
    n = len(guidance_NJ2)
    if pairing not in PAIRINGS:
        raise ConfigError("pairing", f"unknown pairing {pairing!r}", f"choose one of {', '.join(PAIRINGS)}")
    if pairing == "random":
        return latents(seed, np.arange(n), sampler.generator.z_size)
    pool = np.arange(n if pairing == "transport" else 4 * n)
    poses_NJ2, _ = sampler.sample(seed, pool)
    cost = cdist(guidance_NJ2.reshape(n, -1), poses_NJ2.reshape(len(pool), -1), "sqeuclidean")
    columns = linear_sum_assignment(cost)[1] if pairing == "transport" else cost.argmin(1)
    return latents(seed, pool[columns], sampler.generator.z_size)


def pairs_loss(
    images_of: Callable[[torch.Tensor], torch.Tensor],
    sampler: StyleGanSampler,
    discriminator: Discriminator | None,
    guidance_NJ2: np.ndarray,
    settings: Any,
    rng: np.random.Generator,
) -> Callable[[int], torch.Tensor]:
    """The perceptual distance between generated images and the drawings of their guidance poses.

    Args:
        images_of: latents to generated images, differentiable in what is trained.
        sampler: pairs latents with poses, and has beta, alpha and the device.
        discriminator: of the source, frozen, on that device; None where there is none, for a gamma that needs none.
        guidance_NJ2: the guidance set, crop units.
        settings: anything with ``pairing`` and ``seed`` (see :func:`pair_latents`), ``gamma`` (networks/perceptual.py)
            and ``batch``, the number of pairs per step, at most all of them.
        rng: draws the batches.

    Returns:
        The loss of a step, by its number.

    Raises:
        ConfigError: unknown pairing or gamma.
    """
    gamma = make_gamma(settings.gamma, sampler.beta, discriminator)
    z_NZ = torch.as_tensor(pair_latents(sampler, guidance_NJ2, settings.pairing, settings.seed)).to(sampler.device)

    def loss(step: int) -> torch.Tensor:
        rows = rng.choice(len(guidance_NJ2), size=min(settings.batch, len(guidance_NJ2)), replace=False)
        wanted = sampler.alpha.draw(torch.as_tensor(guidance_NJ2[rows]).to(sampler.device))
        return perceptual_distance(gamma(images_of(z_NZ[torch.as_tensor(rows)])), gamma(wanted))

    return loss
