"""Fit a blend (networks/blend.py) to a few shots. Nothing is trained; it takes seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial.distance import cdist

from flexpose_ray.methods.guidance import both_sides, with_sides
from flexpose_ray.methods.target_moments import between_moments, part_of, shrink_of, transport_map
from flexpose_ray.networks.blend import NUMBERS, Blend
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.moments import Moments, moments
from flexpose_ray.pose.skeleton import Skeleton

RIDGE = 1e-4  # variance added in every direction, crop units squared: a pelvis always lies between the hips
SAMPLES = 4096  # poses that moments are estimated from
TRIES = 40  # sets of as many poses as shots that the shots are compared with


@dataclass(frozen=True)
class BlendSettings:
    """Settings of a blend.

    Attributes:
        prior: share of poses that stay where the source is as near to every shot as other shots are; it is multiplied
            by :func:`nearness` and by 1 - ``shrink``.
        spread: how much of a pose's own offset from the mean is kept beside the shots, stretched as the target is, 0
            to 1.
        finish: share of the way to the wanted moments that the last affine map goes, 0 to 1.
        rarity: power of a shot's distance from the source by which its weight falls, multiplied by (1 - ``shrink``)^2
            and then at most 1; 0 gives all shots the same weight.
        mirror: whether the target shows left and right alike; None asks :func:`both_sides`.
        shrink: how far the shots' spread is trusted, 0 to 1; None calls :func:`choose_shrink`.
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
    """Fit the blend of a generator's poses with shots.

    A pose's own offset from the mean is stretched to the covariance of :func:`between_moments`. The affine map at the
    end goes a share of the way to these moments: all of it would make poses wider than any real ones for the sake of
    moments that are only estimates, and mixtures of shots estimate them, too.

    Args:
        poses_NJ2: the poses to be blended, thousands of samples of the generator, crop units.
        source: mean and covariance of the poses that it was trained on.
        shots_SJ2: at least two poses, crop units.
        skeleton: of all poses.
        s: settings.
        seed: of the numbers that choose shots.
    """
    mirror = both_sides(shots_SJ2, skeleton) if s.mirror is None else s.mirror
    shrink = shrink_of(s.shrink, source[1], shots_SJ2)
    prior = min(1.0, s.prior * (1 - shrink) * nearness(poses_NJ2, shots_SJ2, skeleton, mirror, seed))
    weight_S = weights(source, shots_SJ2, min(1.0, s.rarity * (1 - shrink) ** 2))
    sides_MJ2 = with_sides(shots_SJ2, skeleton, mirror)
    seen = moments(sides_MJ2, np.tile(weight_S, len(sides_MJ2) // len(shots_SJ2)))
    wanted, plain = between_moments(source, seen, shrink), moments(poses_NJ2)

    blend = Blend(len(shots_SJ2), skeleton.n_joints, prior, mirror)
    _copy(blend.shots_SJ2, shots_SJ2)
    _copy(blend.weight_S, weight_S)
    _copy(blend.flip_J, np.asarray(skeleton.flip))
    _copy(blend.mean_J2, plain[0].reshape(blend.mean_J2.shape))
    _copy(blend.own_DD, s.spread * transport_map(plain[1], wanted[1]))
    numbers_NK = latents(seed, np.arange(len(poses_NJ2)), NUMBERS)
    mixed = moments(blend.mixed(torch.as_tensor(poses_NJ2), torch.as_tensor(numbers_NK)).numpy())
    map_DD = part_of(transport_map(mixed[1], wanted[1]), s.finish)
    mean_D = s.finish * wanted[0] + (1 - s.finish) * mixed[0]
    _copy(blend.map_DD, map_DD)
    _copy(blend.shift_D, mean_D - mixed[0] @ map_DD)
    return blend


def _copy(buffer: torch.Tensor, values: np.ndarray) -> None:
    buffer.copy_(torch.as_tensor(values))


def nearness(poses_NJ2: np.ndarray, shots_SJ2: np.ndarray, skeleton: Skeleton, mirror: bool, seed: int) -> float:
    """How often a shot's nearest neighbour is a pose of the source and not another shot, 0 to 1.

    The shots, with mirror images where those count, are compared with many sets of as many source poses. The result is
    a fifth to a quarter for COCO and Penn Action, a tenth for a studio, 0 for rowers, whom COCO hardly shows.

    Args:
        poses_NJ2: of the source, crop units, many more than the shots.
        shots_SJ2: at least two poses, crop units.
        skeleton: of all poses.
        mirror: whether mirror images of shots count as shots.
        seed: draws the sets.
    """
    flat_ND, shots_SD = (x.reshape(len(x), -1) for x in (poses_NJ2, shots_SJ2))
    sides_MD = with_sides(shots_SJ2, skeleton, mirror).reshape(-1, shots_SD.shape[1])
    own_SM = np.tile(
        np.eye(len(shots_SD), dtype=bool), len(sides_MD) // len(shots_SD)
    )  # a shot itself and its mirror image
    nearest_S = np.where(own_SM, np.inf, cdist(shots_SD, sides_MD)).min(1)
    others, rng = len(sides_MD) - len(sides_MD) // len(shots_SD), np.random.default_rng(seed)
    sets = (flat_ND[rng.choice(len(flat_ND), others, replace=others > len(flat_ND))] for _ in range(TRIES))
    return float(np.mean([cdist(shots_SD, set_MD).min(1) < nearest_S for set_MD in sets]))


def weights(source: Moments, shots_SJ2: np.ndarray, rarity: float) -> np.ndarray:
    """Weights of the shots (S,), float64, summing to 1.

    Shots are often chosen to show everything, a few of each kind, so rare kinds would count as much as common ones.
    Poses that are rare in the source are rare in most targets too: a shot's weight is one over its Mahalanobis distance
    from the source, to the power of ``rarity``.
    """
    apart_SD = shots_SJ2.reshape(len(shots_SJ2), -1).astype(np.float64) - source[0]
    covariance_DD = source[1] + RIDGE * np.eye(len(source[0]))
    distance_S = np.sqrt((apart_SD * np.linalg.solve(covariance_DD, apart_SD.T).T).sum(1))
    weight_S = np.maximum(distance_S, 1e-9) ** -rarity
    return weight_S / weight_S.sum()
