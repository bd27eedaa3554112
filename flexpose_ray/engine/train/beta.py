"""beta's pretraining: the first minutes of `flexpose pretrain`, on the first worker."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import torch
from safetensors.torch import save

from flexpose_ray.config import PretrainConfig
from flexpose_ray.errors import TrainingError
from flexpose_ray.judging.metrics import mean_joint_error
from flexpose_ray.models.weights import load_into, load_tensors
from flexpose_ray.networks.beta import Beta
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.base import Store
from flexpose_ray.training.beta import beta_step

BETA, BETA_CARD = "beta.safetensors", "beta.json"
BETA_REPORTS = 10  # progress rows of one training


def trained_beta(
    p: PretrainConfig,
    alpha: Alpha,
    train: PoseSet,
    held: PoseSet,
    store: Store,
    device: torch.device,
    bf16: bool,
    report: Callable[[dict], None],
) -> tuple[Beta, dict]:
    """beta for ``alpha``'s images: from the run's folder, or trained and put there.

    Returns:
        The network in evaluation mode, and a card with its mean error on held-out poses in pixels.

    Raises:
        TrainingError: an error that is not finite.
        WeightsError: the run's folder holds a damaged beta, or one of another size.
    """
    beta = Beta(alpha.skeleton.n_joints, alpha.channels, p.beta.width)
    if store.exists(BETA_CARD):
        where = f"{store.uri}/{BETA}"
        tensors = {f"beta.{k}": v for k, v in load_tensors(store.get(BETA), where).items()}
        load_into(beta, tensors, "beta", where)
        return beta.to(device).eval(), json.loads(store.get(BETA_CARD))
    torch.manual_seed(p.seed)
    beta = Beta(alpha.skeleton.n_joints, alpha.channels, p.beta.width)
    beta = beta.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(beta.parameters(), lr=p.beta.lr, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, p.beta.lr, total_steps=p.beta.steps, pct_start=0.1)
    rng = torch.Generator().manual_seed(p.seed)
    poses_NJ2 = torch.as_tensor(train.keypoints_NJ2)
    for step in range(p.beta.steps):
        rows = torch.randint(len(poses_NJ2), (p.beta.batch,), generator=rng)
        error = beta_step(beta, optimizer, poses_NJ2[rows], alpha, rng, bf16)
        if not math.isfinite(error):
            way_out = f"lower pretrain.beta.lr ({p.beta.lr:g})"
            raise TrainingError(f"beta's training, step {step + 1:,}", f"its error is {error}", way_out)
        schedule.step()
        if (step + 1) * BETA_REPORTS // p.beta.steps > step * BETA_REPORTS // p.beta.steps:
            report({"beta_step": step + 1, "beta_steps": p.beta.steps, "beta_px": round(error * alpha.size, 3)})
    card = {"beta_error_px": round(error_px(beta.eval(), alpha, held), 4)}
    store.put(BETA, save({k: v.cpu().contiguous() for k, v in beta.state_dict().items()}))
    store.put(BETA_CARD, json.dumps(card).encode())
    return beta, card


@torch.inference_mode()
def error_px(beta: Beta, alpha: Alpha, poses: PoseSet, batch: int = 64) -> float:
    """Mean joint error of beta on drawn poses, in pixels of alpha's image size."""
    device = next(beta.parameters()).device
    wanted_NJ2 = torch.as_tensor(poses.keypoints_NJ2)
    found_NJ2 = torch.cat([beta(alpha.draw(part.to(device)))[0].cpu() for part in wanted_NJ2.split(batch)])
    return mean_joint_error(found_NJ2.numpy(), poses.keypoints_NJ2) * alpha.size
