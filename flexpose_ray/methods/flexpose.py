"""FlexPose: a few linear maps on style codes, trained on a dozen shots (paper section 3.3).

The paper's own setting is layer 3 without bias, the perceptual loss between images, and random latents, each bound to
one guidance pose. It asks every latent for an unrelated pose, and a linear map answers with the mean pose. The other
losses compare poses, through the differentiable beta: "energy" compares distributions and binds no latent to any pose;
"moments" asks every latent for its own pose, moved as little as the wanted mean and covariance allow.

Beside or instead of maps on style codes, poses may be blended with the shots (networks/blend.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from flexpose_ray.errors import ConfigError
from flexpose_ray.methods.blending import SAMPLES, BlendSettings, fit_blend
from flexpose_ray.methods.guidance import both_sides, guidance, need_two, with_sides
from flexpose_ray.methods.pairs import pairs_loss
from flexpose_ray.methods.target_moments import shrink_of, shrunk_moments, transport_map
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.networks.transfer import NONE, STYLEGAN2, Transfer, layer_set
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.moments import moments
from flexpose_ray.training.loop import OnStep, minimise
from flexpose_ray.training.losses import energy_distance

LOSSES = ("moments", "energy", "perceptual")
POOL = 2048  # latents that "moments" moves
OTHERS = 256  # moved poses that a step's distribution is compared with
PAIRS, LIKENESS = 0.3, 0.05  # weights of these terms beside the energy distance

Loss = Callable[[int], torch.Tensor]  # a step's loss, by its number


@dataclass(frozen=True)
class FlexPoseSettings:
    """Settings of adaptation.

    Attributes:
        layers: style layers l with a U_l, from 1, or "all"; or "w", one U before them; or "none": a blend alone.
        counting: of the numbers in ``layers``: "stylegan2", or "stylegan", whose layer 3 is our layer 2; see
            :func:`layer_set`. The paper, which builds on StyleGAN (2018), does not say how it counts.
        bias: add a shift to each U.
        loss: "moments" (to a mean and covariance between the shots' and the source's), "energy" (energy distance to
            the guidance set) or "perceptual" (paper eq. 5).
        pairing: for "perceptual", which latent is paired with which guidance pose: "random" (the paper), "nearest" or
            "transport"; see methods/pairs.py.
        gamma: features of "perceptual"; see networks/perceptual.py.
        mixup: size E of the guidance set by pose-mixup (paper eq. 7); 0 takes the shots alone.
        shrink: for "moments" the weight of the shots' covariance, the rest is the source's; for the blend how far the
            shots' spread is trusted; None chooses it by leaving one shot out after another.
        blend: blend the poses with the shots.
        mirror: whether mirror images of the shots count as shots; None asks :func:`both_sides`.
        prior, spread, finish, rarity: of the blend; see methods/blending.py.
        steps, batch, lr: of Adam; the rate falls to 0 along a cosine.
        seed: of latents, mixup and batches.
    """

    layers: tuple[int, ...] | str = NONE
    counting: str = STYLEGAN2
    bias: bool = True
    loss: str = "moments"
    pairing: str = "transport"
    gamma: str = "beta"
    mixup: int = 1000
    shrink: float | None = None
    blend: bool = True
    prior: float = 0.75
    spread: float = 0.3
    finish: float = 0.5
    rarity: float = 4.0
    mirror: bool | None = None
    steps: int = 200
    batch: int = 48
    lr: float = 6e-3
    seed: int = 0


def adapt(
    networks: Networks,
    shots_NJ2: np.ndarray,
    settings: FlexPoseSettings,
    on_step: OnStep = lambda row: None,
    device: torch.device | str = "cpu",
    inspect: Callable[[int, Transfer], None] = lambda step, transfer: None,
) -> Transfer:
    """Learn tau from a few shots; the networks' weights stay as they are.

    Args:
        networks: of the source.
        shots_NJ2: at least two poses, crop units.
        settings: of adaptation.
        on_step: takes ``step``, ``steps``, ``loss`` and ``steps_s`` after every step.
        device: where the networks are moved to and tau is learned.
        inspect: takes the number of finished steps and the current tau, which it must not change.

    Raises:
        DataError: fewer than two shots.
        ConfigError: a layer that the generator does not have, an unknown loss, pairing or gamma; or neither layers nor
            a blend.
    """
    need_two(shots_NJ2)
    s, shots_NJ2, skeleton = settings, np.asarray(shots_NJ2, np.float32), networks.alpha.skeleton
    if s.layers == NONE and not s.blend:
        raise ConfigError("layers", "neither layers nor a blend, so there is nothing to adapt", "set blend=true")
    generator = networks.generator
    transfer = Transfer.for_generator(generator, layer_set(s.layers, generator.n_layers, s.counting), s.bias)
    sampler = networks.sampler(transfer, device=device)
    if networks.discriminator is not None:
        networks.discriminator.to(sampler.device).eval().requires_grad_(False)
    if s.mirror is None:
        s = replace(s, mirror=both_sides(shots_NJ2, skeleton))
    if s.layers != NONE:
        transfer.train().requires_grad_(True)

        def report(row: dict) -> None:
            on_step(row)
            inspect(row["step"], transfer)

        minimise(_make_loss(networks, sampler, shots_NJ2, s), transfer.parameters(), s.lr, s.steps, report)
    transfer.eval().requires_grad_(False)
    if s.blend:
        poses_NJ2, _ = sampler.sample(s.seed, np.arange(SAMPLES))
        blending = BlendSettings(s.prior, s.spread, s.finish, s.rarity, s.mirror, s.shrink)
        blend = fit_blend(poses_NJ2, networks.source, shots_NJ2, skeleton, blending, s.seed)
        transfer.set_blend(blend.to(sampler.device))
        inspect(s.steps, transfer)
    return transfer


def _make_loss(networks: Networks, sampler: StyleGanSampler, shots_NJ2: np.ndarray, s: FlexPoseSettings) -> Loss:
    """The loss that the settings name, of the samples through the sampler's tau."""
    if s.loss == "moments":
        return _moments_loss(networks, sampler, shots_NJ2, s)
    if s.loss not in LOSSES:
        raise ConfigError("loss", f"unknown loss {s.loss!r}", f"choose one of {', '.join(LOSSES)}")
    rng = np.random.default_rng(s.seed)
    guidance_NJ2 = guidance(shots_NJ2, s.mixup, rng, networks.alpha.skeleton, s.mirror)
    if s.loss == "energy":
        return _energy_loss(sampler, guidance_NJ2, s, rng)
    return pairs_loss(sampler.images, sampler, networks.discriminator, guidance_NJ2, s, rng)


def _moments_loss(networks: Networks, sampler: StyleGanSampler, shots_NJ2: np.ndarray, s: FlexPoseSettings) -> Loss:
    """Every latent has its own pose to reach: its pose under g_s, moved by the optimal transport to the wanted moments.

    That is pairing without assignment: no latent is asked for more than the distributions' difference. The energy
    distance beside it keeps the spread, which regression alone would lose. Both see images only through beta, which
    reads a pose from any blob; the frozen discriminator of the source keeps images skeleton-like.
    """
    device, skeleton = sampler.device, networks.alpha.skeleton
    discriminator = networks.need_discriminator("adapt.loss=moments")
    poses_NJ2, _ = networks.sampler(device=device).sample(s.seed, np.arange(POOL))
    z_NZ = torch.as_tensor(latents(s.seed, np.arange(POOL), networks.generator.z_size)).to(device)
    have, source = moments(poses_NJ2), networks.source
    seen = moments(with_sides(shots_NJ2, skeleton, s.mirror))
    wanted = shrunk_moments(source, seen, len(shots_NJ2), shrink_of(s.shrink, source[1], shots_NJ2))
    moved_ND = (poses_NJ2.reshape(POOL, -1) - have[0]) @ transport_map(have[1], wanted[1]) + wanted[0]
    moved_NJ2 = torch.as_tensor(moved_ND.reshape(poses_NJ2.shape)).float().to(device)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng([s.seed, step])
        rows, others = (torch.as_tensor(rng.choice(POOL, n, replace=n > POOL)) for n in (s.batch, OTHERS))
        images = sampler.images(z_NZ[rows])
        poses_NJ2, _ = networks.beta(images)
        pairs = (poses_NJ2 - moved_NJ2[rows]).square().sum((1, 2)).mean()
        likeness = F.softplus(-discriminator(images)).mean()
        return energy_distance(poses_NJ2, moved_NJ2[others]) + PAIRS * pairs + LIKENESS * likeness

    return loss


def _energy_loss(
    sampler: StyleGanSampler, guidance_NJ2: np.ndarray, s: FlexPoseSettings, rng: np.random.Generator
) -> Loss:
    """Energy distance between a batch of samples and a batch of guidance poses."""

    def loss(step: int) -> torch.Tensor:
        rows = rng.choice(len(guidance_NJ2), size=s.batch, replace=len(guidance_NJ2) < s.batch)
        fresh = np.arange(step * s.batch, (step + 1) * s.batch)  # latents that no other step uses
        z_NZ = torch.as_tensor(latents(s.seed, fresh, sampler.generator.z_size)).to(sampler.device)
        poses_NJ2, _ = sampler.beta(sampler.images(z_NZ))
        return energy_distance(poses_NJ2, torch.as_tensor(guidance_NJ2[rows]).to(sampler.device))

    return loss
