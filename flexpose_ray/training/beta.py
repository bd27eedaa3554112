"""beta's training step, on poses wider than the source's and drawings as imperfect as generated images."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from flexpose_ray.networks.beta import Beta
from flexpose_ray.pose.alpha import Alpha


def vary_poses(keypoints_NJ2: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Widen a batch of poses for beta's training: blends of two poses, affine maps, loose joints.

    beta must read poses that the source does not contain, because adapted generators draw such poses.
    """
    k, n = keypoints_NJ2, len(keypoints_NJ2)

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=rng) * 2 - 1

    blend = 1 - 0.5 * (uniform(n, 1, 1) > 0) * torch.rand(n, 1, 1, generator=rng)
    k = blend * k + (1 - blend) * k[torch.randperm(n, generator=rng)]
    angle, stretch = uniform(n) * 0.4 * (uniform(n) > 0), 1 + 0.2 * uniform(n, 2)
    cos, sin = angle.cos(), angle.sin()
    turn_N22 = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1) * stretch[:, None]
    k = (k - 0.5) @ turn_N22 + 0.5 + 0.06 * uniform(n, 1, 2)
    loose = (uniform(n, 1, 1) > 0) * 0.03
    return k + loose * torch.randn(k.shape, generator=rng)


def spoil_images(images_NCHW: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Make drawn skeletons look as imperfect as generated ones: blur, dimmer limbs, noise."""
    n = len(images_NCHW)
    blurred = F.avg_pool2d(images_NCHW, 3, stride=1, padding=1)
    share = torch.rand(n, 1, 1, 1, generator=rng)
    x = images_NCHW + share * (blurred - images_NCHW)
    gain = 1 + 0.3 * (torch.rand(n, images_NCHW.shape[1], 1, 1, generator=rng) * 2 - 1)
    x = (x + 1) * gain - 1
    return x + 0.15 * torch.rand(n, 1, 1, 1, generator=rng) * torch.randn(x.shape, generator=rng)


def beta_step(
    beta: Beta,
    optimizer: torch.optim.Optimizer,
    keypoints_NJ2: torch.Tensor,
    alpha: Alpha,
    rng: torch.Generator,
    bf16: bool = False,
) -> float:
    """One training step of beta on poses drawn by alpha.

    Args:
        beta: trained in place.
        optimizer: of beta.
        keypoints_NJ2: source poses, on the CPU, crop units.
        alpha: draws them.
        rng: CPU generator, so that every device sees the same poses.
        bf16: autocast to bfloat16.

    Returns:
        Mean joint error of the batch, crop units.
    """
    device = next(beta.parameters()).device
    wanted_NJ2 = vary_poses(keypoints_NJ2, rng)
    images = spoil_images(alpha.draw(wanted_NJ2), rng).to(device)
    wanted_NJ2 = wanted_NJ2.to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        found_NJ2, confidence_NJ = beta(images)
    error_NJ = (found_NJ2 - wanted_NJ2).norm(dim=2)
    on_canvas_NJ = ((wanted_NJ2 > 0) & (wanted_NJ2 < 1)).all(2)
    loss = (error_NJ * on_canvas_NJ).mean() - 0.003 * confidence_NJ.mean()
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return error_NJ.detach()[on_canvas_NJ].mean().item()
