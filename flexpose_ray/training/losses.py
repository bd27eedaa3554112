"""Differentiable distances between pose sets, to train on; judging/metrics.py has those to judge by."""

from __future__ import annotations

import torch


def energy_distance(a_NJ2: torch.Tensor, b_MJ2: torch.Tensor) -> torch.Tensor:
    """Energy distance 2 E|a - b| - E|a - a'| - E|b - b'| between two sets of poses (Szekely and Rizzo, 2013).

    Unbiased: a pose is never compared with itself, so the value may fall below 0.

    Returns:
        A scalar, crop units.
    """
    a, b = a_NJ2.flatten(1), b_MJ2.flatten(1)
    return 2 * _distances(a, b).mean() - _within(a) - _within(b)


def energy_pull(ours_NJ2: torch.Tensor, all_MJ2: torch.Tensor, wanted_KJ2: torch.Tensor) -> torch.Tensor:
    """One worker's share of the energy distance between all workers' poses and wanted ones.

    Its gradient, averaged over workers, is that of ``energy_distance(all, wanted)``, however the batch is split.

    Args:
        ours_NJ2: poses of this worker, with gradients.
        all_MJ2: poses of all workers, including this one's; no gradient flows here.
        wanted_KJ2: poses that show the wanted distribution.

    Returns:
        A scalar; only its gradient has a meaning.
    """
    ours, everyone = ours_NJ2.flatten(1), all_MJ2.detach().flatten(1)
    push = _distances(ours, everyone).sum() / (len(ours) * (len(everyone) - 1))  # a pose is at distance 0 from itself
    return 2 * (_distances(ours, wanted_KJ2.flatten(1)).mean() - push)


def _distances(a_ND: torch.Tensor, b_MD: torch.Tensor) -> torch.Tensor:
    return ((a_ND[:, None] - b_MD[None]).square().sum(2) + 1e-12).sqrt()


def _within(x_ND: torch.Tensor) -> torch.Tensor:
    n = len(x_ND)
    return _distances(x_ND, x_ND).sum() / (n * (n - 1))
