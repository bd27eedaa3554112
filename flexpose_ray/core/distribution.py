"""Differentiable distances between sets of poses, for training; core/metrics.py measures."""

from __future__ import annotations

import torch


def energy_distance(a_NJ2: torch.Tensor, b_MJ2: torch.Tensor) -> torch.Tensor:
    """Energy distance 2 E|a - b| - E|a - a'| - E|b - b'| between two sets of poses (Szekely and Rizzo, 2013).

    Unbiased: a pose is never compared with itself, so that the value may fall below 0. Scalar, crop units.
    """
    a, b = a_NJ2.flatten(1), b_MJ2.flatten(1)
    return 2 * _distances(a, b).mean() - _within(a) - _within(b)


def moments(poses_NJ2: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean (D,) and covariance (D, D) of poses in float64, D = 2J."""
    x_ND = poses_NJ2.flatten(1).double()
    mean_D = x_ND.mean(0)
    centred_ND = x_ND - mean_D
    return mean_D, centred_ND.T @ centred_ND / (len(x_ND) - 1)


def gaussian_distance(
    a: tuple[torch.Tensor, torch.Tensor], b: tuple[torch.Tensor, torch.Tensor], ridge: float = 1e-6
) -> torch.Tensor:
    """Squared 2-Wasserstein distance of two Gaussians, given by mean and covariance (the form of FD), scalar.

    Args:
        a: moments with gradients.
        b: moments to reach; no gradient flows into their root.
        ridge: added to both diagonals, for covariances that are singular.
    """
    eye_DD = ridge * torch.eye(len(a[0]), dtype=torch.float64, device=a[0].device)
    ca_DD, cb_DD = a[1] + eye_DD, b[1] + eye_DD
    values_D, vectors_DD = torch.linalg.eigh(cb_DD.detach())
    root_DD = (vectors_DD * values_D.clamp_min(0).sqrt()) @ vectors_DD.T
    overlap = torch.linalg.eigvalsh(root_DD @ ca_DD @ root_DD).clamp_min(1e-12).sqrt().sum()
    return (a[0] - b[0]).square().sum() + ca_DD.trace() + cb_DD.trace() - 2 * overlap


def _distances(a_ND: torch.Tensor, b_MD: torch.Tensor) -> torch.Tensor:
    return ((a_ND[:, None] - b_MD[None]).square().sum(2) + 1e-12).sqrt()


def _within(x_ND: torch.Tensor) -> torch.Tensor:
    n = len(x_ND)
    return _distances(x_ND, x_ND).sum() / (n * (n - 1))
