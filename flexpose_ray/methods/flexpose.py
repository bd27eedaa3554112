"""FlexPose: a few linear maps on style codes, trained on a dozen shots (paper section 3.3).

The paper's own setting is layer 3 without bias, the perceptual loss between images, and random latents, each bound to
one guidance pose. It asks every latent for an unrelated pose, and what a linear map answers to that is the mean pose.
The other losses look at poses, through the differentiable beta: "energy" compares distributions and binds no latent to
any pose; "moments" asks every latent for its own pose, moved as little as the wanted mean and covariance allow.

Beside or instead of maps on style codes, poses may be blended with the shots (networks/blend.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.methods.blending import SAMPLES, BlendSettings, fit_blend
from flexpose_ray.methods.guidance import both_sides, guidance, with_sides
from flexpose_ray.methods.keypoint import shrink_of, transport_map
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.guided import GuidedBeta, GuidedDiscriminator, GuidedGenerator
from flexpose_ray.networks.perceptual import make_gamma, perceptual_distance
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.networks.transfer import NONE, Transfer, W, layer_set
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import latents
from flexpose_ray.training.distribution import Moments, energy_distance, moments, shrunk_moments

LOSSES = ("moments", "energy", "perceptual")
PAIRINGS = ("random", "nearest", "transport")
POOL = 2048  # latents that "moments" moves
OTHERS = 256  # moved poses that a step's distribution is compared with
PAIRS, LIKENESS = 0.3, 0.05  # weights beside the energy distance
MOST_HELD = 5  # the layer up to which constants are held: what it finds are maps of 8x8


@dataclass(frozen=True)
class FlexPoseSettings:
    """What adaptation depends on.

    Attributes:
        layers: style layers l with a U_l, from 1, or "all"; or "w", one U before them; or "none": a blend alone.
        bias: a shift beside each U.
        loss: "moments" (to a mean and covariance between the shots' and the source's), "energy" (energy distance to
            the guidance set) or "perceptual" (paper eq. 5).
        pairing: for "perceptual", which latent goes with which guidance pose: "random" (the paper), "nearest" in
            beta's space among more latents, "transport" (one to one, least total distance).
        gamma: features of "perceptual"; see networks/perceptual.py.
        mixup: size E of the guidance set by pose-mixup (paper eq. 7); 0 takes the shots alone.
        shrink: for "moments" the weight of the shots' covariance, the rest is the source's; for the blend how far they
            tell their spread by themselves; None chooses it by leaving one shot out after another.
        blend: blend the poses with the shots.
        mirror: whether mirror images of the shots are shots; None asks :func:`both_sides`.
        prior, spread, finish, rarity: of the blend; see methods/blending.py.
        steps, batch, lr: of Adam; the rate falls to 0 along a cosine.
        seed: of latents, mixup and batches.
    """

    layers: tuple[int, ...] | str = NONE
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
    generator: Generator,
    discriminator: Discriminator,
    beta: Beta,
    alpha: Alpha,
    source: Moments,
    shots_NJ2: np.ndarray,
    settings: FlexPoseSettings,
    on_step: Callable[[dict], None] = lambda row: None,
    device: torch.device | str = "cpu",
    look: Callable[[int, Transfer], None] = lambda step, transfer: None,
) -> Transfer:
    """Learn tau from a few shots; the networks stay as they are.

    Args:
        source: mean and covariance of the poses that the generator was trained on.
        shots_NJ2: at least two poses, crop units.
        on_step: takes ``step``, ``steps``, ``loss`` and ``steps_s`` after every step.
        device: where the networks are moved to, and where tau is learned.
        look: takes the number of steps done and tau as it is then, which it has to leave as it is.

    Raises:
        DataError: fewer than two shots.
        ConfigError: a layer that the generator does not have, an unknown loss, pairing or gamma; or neither layers nor
            a blend.
    """
    if len(shots_NJ2) < 2:
        raise DataError("shots", f"adaptation needs at least two poses, found {len(shots_NJ2)}", "annotate more poses")
    s, shots_NJ2 = settings, np.asarray(shots_NJ2, np.float32)
    if s.layers == NONE and not s.blend:
        raise ConfigError("layers", "neither layers nor a blend, so there is nothing to adapt", "set blend=true")
    transfer = Transfer.for_generator(generator, layer_set(s.layers, generator.n_layers), s.bias)
    for network in (generator, discriminator, beta):
        network.eval().requires_grad_(False)
    sampler = PoseSampler(generator, beta, alpha, "", transfer, device=device)
    discriminator.to(sampler.device)
    if s.mirror is None:
        s = replace(s, mirror=both_sides(shots_NJ2, alpha.skeleton))
    if s.layers != NONE:
        _train(transfer, sampler, discriminator, source, shots_NJ2, s, on_step, look)
    transfer.eval().requires_grad_(False)
    if s.blend:
        poses_NJ2, _ = sampler.sample(s.seed, np.arange(SAMPLES))
        how = BlendSettings(s.prior, s.spread, s.finish, s.rarity, s.mirror, s.shrink)
        blend = fit_blend(poses_NJ2, source, shots_NJ2, alpha.skeleton, how, s.seed)
        transfer.set_blend(blend.to(sampler.device))
        look(s.steps, transfer)
    return transfer


def _train(
    transfer: Transfer,
    sampler: PoseSampler,
    discriminator: Discriminator,
    source: Moments,
    shots_NJ2: np.ndarray,
    s: FlexPoseSettings,
    on_step: Callable[[dict], None],
    look: Callable[[int, Transfer], None],
) -> None:
    """Adam on tau, in place."""
    transfer.train().requires_grad_(True)
    step_loss = _make_loss(sampler, discriminator, source, shots_NJ2, s)
    optimizer = torch.optim.Adam(transfer.parameters(), lr=s.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, s.steps)
    start = time.perf_counter()
    for step in range(s.steps):
        loss = step_loss(step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        rate = (step + 1) / (time.perf_counter() - start)
        on_step({"step": step + 1, "steps": s.steps, "loss": loss.item(), "steps_s": rate})
        look(step + 1, transfer)


def _make_loss(
    sampler: PoseSampler, discriminator: Discriminator, source: Moments, shots_NJ2: np.ndarray, s: FlexPoseSettings
) -> Callable[[int], torch.Tensor]:
    """The loss of one step, by its number."""
    rng = np.random.default_rng(s.seed)
    guidance_NJ2 = guidance(shots_NJ2, s.mixup, rng, sampler.alpha.skeleton, s.mirror)
    if s.loss == "perceptual":
        return _perceptual(sampler, discriminator, guidance_NJ2, s, rng)
    if s.loss == "energy":
        return _energy(sampler, guidance_NJ2, s, rng)
    if s.loss == "moments":
        return _moments(sampler, discriminator, source, shots_NJ2, s)
    raise ConfigError("loss", f"unknown loss {s.loss!r}", f"choose one of {', '.join(LOSSES)}")


class _Images:
    """g_t(z) of some latents, differentiable in tau; what lies below the first adapted layer is computed once.

    Args:
        guided: g_s.
        sampler: with tau.
        z_NZ: the latents.
    """

    @torch.no_grad()
    def __init__(self, guided: GuidedGenerator, sampler: PoseSampler, z_NZ: np.ndarray):
        self.guided, self.generator, self.transfer = guided, sampler.generator, sampler.transfer
        self.w_ND = self.generator.mapping(torch.as_tensor(z_NZ).to(sampler.device))
        self.styles, self.held = None, None  # behind a map on w, all styles are anew at every step
        if W not in self.transfer.maps:
            self.styles = self.generator.styles(self.w_ND)
            layer = min(MOST_HELD, *map(int, self.transfer.maps))
            self.held = guided.below(layer, self.styles, self.w_ND) if layer > 1 else None

    def __call__(self, rows: torch.Tensor | slice = slice(None)) -> torch.Tensor:
        """Images (N, C, H, W) of the latents at ``rows``."""
        w_ND = self.transfer.latent(self.w_ND[rows])
        styles = [s[rows] for s in self.styles] if self.styles else self.generator.styles(w_ND)
        return self.guided(self.transfer(styles), w_ND, self.held and self.held.take(rows))


def _moments(
    sampler: PoseSampler, discriminator: Discriminator, source: Moments, shots_NJ2: np.ndarray, s: FlexPoseSettings
) -> Callable[[int], torch.Tensor]:
    """Every latent has a pose of its own to reach: its pose under g_s, moved by the optimal transport to the moments.

    That is pairing without assignment: no latent is asked for more than the distributions' difference. The energy
    distance beside it keeps the spread, which regression alone would lose. Both look through beta, which reads a pose
    off any blob; the discriminator of the source, which stays as it is, keeps images to skeletons.
    """
    device = sampler.device
    plain = PoseSampler(sampler.generator, sampler.beta, sampler.alpha, "", device=device)
    poses_NJ2, _ = plain.sample(s.seed, np.arange(POOL))
    z_NZ = latents(s.seed, np.arange(POOL), sampler.generator.z_size)
    images_of = _Images(GuidedGenerator(sampler.generator), sampler, z_NZ)
    beta, judge = GuidedBeta(sampler.beta), GuidedDiscriminator(discriminator)
    have = moments(torch.as_tensor(poses_NJ2))
    shrink = shrink_of(s.shrink, source[1].numpy(), shots_NJ2)
    sides_MJ2 = with_sides(shots_NJ2, sampler.alpha.skeleton, s.mirror)
    wanted = shrunk_moments(source, moments(torch.as_tensor(sides_MJ2)), len(shots_NJ2), shrink)
    map_DD = torch.as_tensor(transport_map(have[1].numpy(), wanted[1].numpy()))
    moved_ND = (torch.as_tensor(poses_NJ2).flatten(1).double() - have[0]) @ map_DD + wanted[0]
    moved_NJ2 = moved_ND.float().view(poses_NJ2.shape).to(device)

    def loss(step: int) -> torch.Tensor:
        rng = np.random.default_rng([s.seed, step])
        rows, others = (torch.as_tensor(rng.choice(POOL, n, replace=n > POOL)) for n in (s.batch, OTHERS))
        images = images_of(rows)
        poses_NJ2 = beta(images)
        pairs = (poses_NJ2 - moved_NJ2[rows]).square().sum((1, 2)).mean()
        likeness = F.softplus(-judge(images)).mean()
        return energy_distance(poses_NJ2, moved_NJ2[others]) + PAIRS * pairs + LIKENESS * likeness

    return loss


def _energy(
    sampler: PoseSampler, guidance_NJ2: np.ndarray, s: FlexPoseSettings, rng: np.random.Generator
) -> Callable[[int], torch.Tensor]:
    guided, beta = GuidedGenerator(sampler.generator), GuidedBeta(sampler.beta)

    def loss(step: int) -> torch.Tensor:
        rows = rng.choice(len(guidance_NJ2), size=s.batch, replace=len(guidance_NJ2) < s.batch)
        fresh = np.arange(step * s.batch, (step + 1) * s.batch)  # latents that no other step takes
        poses_NJ2 = beta(_Images(guided, sampler, latents(s.seed, fresh, sampler.generator.z_size))())
        return energy_distance(poses_NJ2, torch.as_tensor(guidance_NJ2[rows]).to(sampler.device))

    return loss


def _perceptual(
    sampler: PoseSampler,
    discriminator: Discriminator,
    guidance_NJ2: np.ndarray,
    s: FlexPoseSettings,
    rng: np.random.Generator,
) -> Callable[[int], torch.Tensor]:
    gamma = make_gamma(s.gamma, sampler.beta, discriminator)
    guided = GuidedGenerator(sampler.generator)
    images_of = _Images(guided, sampler, pair_latents(sampler, guidance_NJ2, s.pairing, s.seed))

    def loss(step: int) -> torch.Tensor:
        rows = rng.choice(len(guidance_NJ2), size=min(s.batch, len(guidance_NJ2)), replace=False)
        wanted = sampler.alpha.draw(torch.as_tensor(guidance_NJ2[rows]).to(sampler.device))
        return perceptual_distance(gamma(images_of(torch.as_tensor(rows))), gamma(wanted))

    return loss


def pair_latents(sampler: PoseSampler, guidance_NJ2: np.ndarray, pairing: str, seed: int) -> np.ndarray:
    """One latent for every guidance pose: z_NZ.

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
