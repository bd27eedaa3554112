"""Distances between sets of poses, differentiable, and their moments: for training; judging/metrics.py measures."""

from __future__ import annotations

import torch

Moments = tuple[torch.Tensor, torch.Tensor]  # mean (D,) and covariance (D, D), float64


def energy_distance(a_NJ2: torch.Tensor, b_MJ2: torch.Tensor) -> torch.Tensor:
    """Energy distance 2 E|a - b| - E|a - a'| - E|b - b'| between two sets of poses (Szekely and Rizzo, 2013).

    Unbiased: a pose is never compared with itself, so that the value may fall below 0. Scalar, crop units.
    """
    a, b = a_NJ2.flatten(1), b_MJ2.flatten(1)
    return 2 * _distances(a, b).mean() - _within(a) - _within(b)


def energy_pull(ours_NJ2: torch.Tensor, all_MJ2: torch.Tensor, wanted_KJ2: torch.Tensor) -> torch.Tensor:
    """One worker's share of a step down the energy distance between all workers' poses and wanted ones.

    Its gradient, averaged over workers, is that of ``energy_distance(all, wanted)``, however the batch is split.

    Args:
        ours_NJ2: poses of this worker, with gradients.
        all_MJ2: poses of every worker, these among them; no gradient flows here.
        wanted_KJ2: poses to be distributed like.
    """
    ours, everyone = ours_NJ2.flatten(1), all_MJ2.detach().flatten(1)
    push = _distances(ours, everyone).sum() / (len(ours) * (len(everyone) - 1))  # a pose is no way from itself
    return 2 * (_distances(ours, wanted_KJ2.flatten(1)).mean() - push)


def moments(poses_NJ2: torch.Tensor, weight_N: torch.Tensor | None = None) -> Moments:
    """Mean (D,) and covariance (D, D) of poses in float64, D = 2J; every pose counts by its weight, or all alike."""
    x_ND = poses_NJ2.flatten(1).double()
    share_N1 = (torch.ones(len(x_ND)) if weight_N is None else weight_N).to(x_ND)[:, None]
    share_N1 = share_N1 / share_N1.sum()
    mean_D = (share_N1 * x_ND).sum(0)
    centred_ND = x_ND - mean_D
    return mean_D, (share_N1 * centred_ND).T @ centred_ND / (1 - share_N1.square().sum())


def shrunk_moments(source: Moments, shots: Moments, count: int, shrink: float) -> Moments:
    """What a few shots and the source together say of the target's mean and covariance.

    The mean is the shots', drawn to the source's by the share of their distance that chance explains (James and
    Stein, 1961): tr(C) / (count |m - m_s|^2), at most 1. The covariance is ``shrink`` of the shots' and the rest of the
    source's, because a dozen shots miss most of a target's spread.
    """
    apart = (shots[0] - source[0]).square().sum().clamp_min(1e-12)
    chance = (shots[1].trace() / (count * apart)).clamp(max=1)
    mean_D = (1 - chance) * shots[0] + chance * source[0]
    return mean_D, (1 - shrink) * source[1] + shrink * shots[1]


def _distances(a_ND: torch.Tensor, b_MD: torch.Tensor) -> torch.Tensor:
    return ((a_ND[:, None] - b_MD[None]).square().sum(2) + 1e-12).sqrt()


def _within(x_ND: torch.Tensor) -> torch.Tensor:
    n = len(x_ND)
    return _distances(x_ND, x_ND).sum() / (n * (n - 1))
