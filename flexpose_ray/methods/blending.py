"""Fit a blend to a few shots: see networks/blend.py. Nothing is trained; it takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist

from flexpose_ray.methods.guidance import both_sides, with_sides
from flexpose_ray.methods.keypoint import shrink_of, transport_map
from flexpose_ray.networks.blend import NUMBERS, Blend
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.skeleton import Skeleton
from flexpose_ray.training.distribution import Moments, moments

RIDGE = 1e-4  # variance that is added to flat directions, crop units squared: a pelvis lies between the hips, always
SAMPLES = 4096  # poses that moments are taken from
LEAST = 1e-12  # variance of a coordinate, crop units squared
TRIES = 40  # sets of poses, each as large as that of the shots, that the shots are compared with


@dataclass(frozen=True)
class BlendSettings:
    """What a blend depends on.

    Attributes:
        prior: share of poses that stay, where the source is as near to every shot as other shots are; it is multiplied
            by :func:`nearness` and by 1 - ``shrink``.
        spread: how much of a pose's own way from the mean is kept beside the shots, stretched as the target is, 0 to 1.
        finish: share of the way to the wanted moments, 0 to 1.
        rarity: power of a shot's distance from the source by which its weight falls, multiplied by (1 - ``shrink``)^2
            and then at most 1; 0 lets all shots weigh the same.
        mirror: whether the target shows left and right alike; None asks :func:`both_sides`.
        shrink: how far the shots tell the target's spread by themselves, 0 to 1; None finds it by leaving one shot out
            after another, see :func:`choose_shrink`.
    """

    prior: float = 0.75
    spread: float = 0.3
    finish: float = 0.5
    rarity: float = 4.0
    mirror: bool | None = None
    shrink: float | None = None


def fit_blend(
    poses_NJ2: np.ndarray, source: Moments, shots_SJ2: np.ndarray, skeleton: Skeleton, s: BlendSettings, seed: int
) -> Blend:
    """The blend of a generator's poses with shots.

    What a pose keeps of its own way from the mean is stretched to the covariance of :func:`wanted_moments`. The affine
    map at the end goes a share of the way to these moments: all of it would make poses wider than any that were seen,
    for the sake of moments that are estimates, and mixtures of shots estimate them, too.

    Args:
        poses_NJ2: what is to be blended, thousands of poses of the generator, crop units.
        source: mean and covariance of the poses that it was trained on.
        shots_SJ2: at least two poses, crop units.
        skeleton: of all poses.
        s: settings.
        seed: of the numbers that choose shots.
    """
    mirror = both_sides(shots_SJ2, skeleton) if s.mirror is None else s.mirror
    shrink = shrink_of(s.shrink, source[1].numpy(), shots_SJ2)
    prior = min(1.0, s.prior * (1 - shrink) * nearness(poses_NJ2, shots_SJ2, skeleton, mirror, seed))
    blend = Blend(len(shots_SJ2), skeleton.n_joints, prior, mirror)
    weight_S = torch.as_tensor(weights(source, shots_SJ2, min(1.0, s.rarity * (1 - shrink) ** 2)))
    sides_MJ2 = with_sides(shots_SJ2, skeleton, mirror)
    seen = moments(torch.as_tensor(sides_MJ2), weight_S.repeat(len(sides_MJ2) // len(shots_SJ2)))
    wanted = wanted_moments(source, seen, shrink)

    poses_NJ2 = torch.as_tensor(poses_NJ2)
    plain = moments(poses_NJ2)
    blend.shots_SJ2.copy_(torch.as_tensor(shots_SJ2))
    blend.weight_S.copy_(weight_S)
    blend.flip_J.copy_(torch.as_tensor(skeleton.flip))
    blend.mean_J2.copy_(plain[0].view_as(blend.mean_J2))
    blend.own_DD.copy_(s.spread * _stretch(plain[1], wanted[1]))
    numbers_NK = latents(seed, np.arange(len(poses_NJ2)), NUMBERS)
    have = moments(blend.mixed(poses_NJ2, torch.as_tensor(numbers_NK)))
    map_DD = _part(_stretch(have[1], wanted[1]), s.finish)
    mean_D = s.finish * wanted[0] + (1 - s.finish) * have[0]
    blend.map_DD.copy_(map_DD)
    blend.shift_D.copy_(mean_D - have[0] @ map_DD)
    return blend


def wanted_moments(source: Moments, seen: Moments, shrink: float) -> Moments:
    """What shots and source together say of the target's mean and covariance: the mean is that of the shots.

    A dozen shots miss most of a target's spread, so that its covariance lies between both, on the way that moves poses
    least (Bures and Wasserstein's geodesic; a sum of both would widen what hardly varies). Where the shots tell more,
    their way is gone farther, and what the source adds has its correlations, at variances nearer to the shots'.

    Args:
        source, seen: mean and covariance of the source and of the shots.
        shrink: how far the shots tell their spread by themselves, 0 to 1; at 1 the covariance is theirs.
    """
    share = shrink**2 * (3 - 2 * shrink)  # under one half it is pressed down, above it up
    seen_D, source_D = (covariance.diagonal().clamp_min(LEAST).sqrt() for covariance in (seen[1], source[1]))
    scale_D = share * seen_D / source_D + (1 - share)
    scaled_DD = scale_D[:, None] * source[1] * scale_D
    way_DD = _part(_stretch(scaled_DD, seen[1]), share)
    return seen[0], way_DD @ scaled_DD @ way_DD


def _part(map_DD: torch.Tensor, share: float) -> torch.Tensor:
    """The linear map that goes a share of the way of another."""
    return share * map_DD + (1 - share) * torch.eye(len(map_DD), dtype=map_DD.dtype)


def _stretch(from_DD: torch.Tensor, to_DD: torch.Tensor) -> torch.Tensor:
    """The linear map that takes one covariance to the other, float64."""
    return torch.as_tensor(transport_map(from_DD.numpy(), to_DD.numpy()))


def nearness(poses_NJ2: np.ndarray, shots_SJ2: np.ndarray, skeleton: Skeleton, mirror: bool, seed: int) -> float:
    """How often a shot's nearest neighbour is a pose of the source and not a shot, 0 to 1.

    The shots, their mirror images where they count, are compared with sets of as many poses of the source, many times
    over. A fifth to a quarter for COCO and Penn Action, a tenth for a studio, 0 for rowers, whom COCO hardly shows.

    Args:
        poses_NJ2: of the source, crop units, many more than the shots.
        shots_SJ2: at least two poses, crop units.
        skeleton: of all poses.
        mirror: whether mirror images of shots are shots.
        seed: draws the sets.
    """
    flat_ND, shots_SD = (x.reshape(len(x), -1) for x in (poses_NJ2, shots_SJ2))
    sides_MD = with_sides(shots_SJ2, skeleton, mirror).reshape(-1, shots_SD.shape[1])
    own_SM = np.tile(np.eye(len(shots_SD), dtype=bool), len(sides_MD) // len(shots_SD))  # itself, its mirror image
    nearest_S = np.where(own_SM, np.inf, cdist(shots_SD, sides_MD)).min(1)
    others, rng = len(sides_MD) - len(sides_MD) // len(shots_SD), np.random.default_rng(seed)
    sets = (flat_ND[rng.choice(len(flat_ND), others, replace=others > len(flat_ND))] for _ in range(TRIES))
    return float(np.mean([cdist(shots_SD, set_MD).min(1) < nearest_S for set_MD in sets]))


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
