"""Fit a blend to a few shots: see core/blend.py. Nothing is trained; it takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist

from flexpose_ray.core.blend import NUMBERS, Blend
from flexpose_ray.core.distribution import Moments, moments, shrunk_moments
from flexpose_ray.core.geometry import flip, with_mirrored
from flexpose_ray.core.latents import latents
from flexpose_ray.core.skeleton import Skeleton
from flexpose_ray.methods.keypoint import choose_shrink, transport_map

RIDGE = 1e-4  # variance that is added to flat directions, crop units squared: a pelvis lies between the hips, always
SAMPLES = 4096  # poses that moments are taken from
ALIKE = 1.8  # mirror images of shots are shots where they are nearer to others than so many times what shots are


@dataclass(frozen=True)
class BlendSettings:
    """What a blend depends on.

    Attributes:
        prior, spread: see :class:`Blend`; the prior is multiplied by 1 - ``shrink`` and the spread by its root: the
            more the shots tell of the target's spread, the less is taken from the source.
        mirror: whether the target shows left and right alike; None asks :func:`both_sides`.
        finish: share of the way to the wanted moments, 0 to 1.
        rarity: power of a shot's distance from the source by which its weight falls; 0 lets all shots weigh the same.
        shrink: weight of the shots' covariance, the rest is the source's; None chooses it by leaving one shot out after
            another.
    """

    prior: float = 0.3
    spread: float = 0.33
    finish: float = 0.5
    rarity: float = 1.0
    mirror: bool | None = None
    shrink: float | None = None


def fit_blend(
    poses_NJ2: np.ndarray, source: Moments, shots_SJ2: np.ndarray, skeleton: Skeleton, s: BlendSettings, seed: int
) -> Blend:
    """The blend of a generator's poses with shots.

    The wanted mean is the shots', drawn to the source's as far as chance explains their distance, the wanted covariance
    lies between both. The affine map at the end goes the share ``finish`` of the way there: all of the way would make
    poses wider than any that were seen, for the sake of moments that are estimates.

    Args:
        poses_NJ2: what is to be blended, thousands of poses of the generator, crop units.
        source: mean and covariance of the poses that it was trained on.
        shots_SJ2: at least two poses, crop units.
        skeleton: of all poses.
        s: settings.
        seed: of the numbers that choose shots.
    """
    mirror = both_sides(shots_SJ2, skeleton) if s.mirror is None else s.mirror
    shots_SD = shots_SJ2.reshape(len(shots_SJ2), -1).astype(np.float64)
    shrink = choose_shrink(source[1].numpy(), shots_SD) if s.shrink is None else s.shrink
    rest = 1 - shrink
    blend = Blend(len(shots_SJ2), skeleton.n_joints, s.prior * rest, s.spread * rest**0.5, mirror)
    poses_NJ2 = torch.as_tensor(poses_NJ2)
    blend.shots_SJ2.copy_(torch.as_tensor(shots_SJ2))
    blend.weight_S.copy_(torch.as_tensor(weights(source, shots_SJ2, s.rarity)))
    blend.flip_J.copy_(torch.as_tensor(skeleton.flip))
    blend.mean_J2.copy_(poses_NJ2.mean(0))
    numbers_NK = latents(seed, np.arange(len(poses_NJ2)), NUMBERS)
    have = moments(blend.mixed(poses_NJ2, torch.as_tensor(numbers_NK)))
    sides_MJ2 = with_mirrored(shots_SJ2, skeleton) if mirror else shots_SJ2
    weight_M = blend.weight_S.repeat(len(sides_MJ2) // len(shots_SJ2))
    wanted = shrunk_moments(source, moments(torch.as_tensor(sides_MJ2), weight_M), len(shots_SJ2), shrink)
    map_DD = torch.as_tensor(transport_map(have[1].numpy(), wanted[1].numpy()))
    map_DD = s.finish * map_DD + (1 - s.finish) * torch.eye(len(map_DD))
    mean_D = s.finish * wanted[0] + (1 - s.finish) * have[0]
    blend.map_DD.copy_(map_DD)
    blend.shift_D.copy_(mean_D - have[0] @ map_DD)
    return blend


def weights(source: Moments, shots_SJ2: np.ndarray, rarity: float) -> np.ndarray:
    """How much every shot counts, float64, summing to 1.

    Shots are often chosen to show all that there is, a few of each kind, and the rare kinds among them would weigh as
    much as the common ones. Poses that are rare in the source are rarer in most targets too: a shot's weight is one
    over its Mahalanobis distance from the source, to the power of ``rarity``.
    """
    apart_SD = shots_SJ2.reshape(len(shots_SJ2), -1).astype(np.float64) - source[0].numpy()
    covariance_DD = source[1].numpy() + RIDGE * np.eye(len(source[0]))
    distance_S = np.sqrt((apart_SD * np.linalg.solve(covariance_DD, apart_SD.T).T).sum(1))
    weight_S = np.maximum(distance_S, 1e-9) ** -rarity
    return weight_S / weight_S.sum()


def both_sides(shots_SJ2: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether the mirror image of a shot looks like the other shots.

    Rowers who all look to the right do not; people who wave their right hand neither. Over many draws of shots the
    ratio that is compared with 1.8 was 0.8 to 1.4 for sets of several actions, 2.3 to 7 for one-sided ones.

    Args:
        shots_SJ2: at least two poses, crop units.
        skeleton: of the shots.
    """
    shots_SD = shots_SJ2.reshape(len(shots_SJ2), -1)
    mirrored_SD = flip(shots_SJ2, skeleton).reshape(len(shots_SJ2), -1)
    others_SS = np.where(np.eye(len(shots_SD), dtype=bool), np.inf, 0.0)
    apart, mirrored = (float((cdist(x, shots_SD) + others_SS).min(1).mean()) for x in (shots_SD, mirrored_SD))
    return mirrored < ALIKE * apart
