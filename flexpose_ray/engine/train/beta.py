"""beta's pretraining: the first minutes of `flexpose pretrain`, on worker 0."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import torch
from safetensors.torch import save

from flexpose_ray.engine.train.job import TrainingJob
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

Report = Callable[[dict], None]


def trained_beta(job: TrainingJob, store: Store, report: Report) -> tuple[Beta, dict]:
    """beta for the job's drawings: read from the run's folder, or trained and written there.

    Args:
        store: the run's folder.
        report: takes ``beta_step``, ``beta_steps`` and ``beta_px`` :data:`BETA_REPORTS` times, if beta is trained.

    Returns:
        The network in evaluation mode, and a card with its mean error on held-out poses in pixels.

    Raises:
        TrainingError: an error that is not finite.
        WeightsError: the run's folder holds a damaged beta, or one of another size.
    """
    if store.exists(BETA_CARD):
        return _read_beta(job, store), json.loads(store.get(BETA_CARD))
    beta = _train_beta(job, report)
    card = {"beta_error_px": round(error_px(beta, job.alpha, job.held), 4)}
    store.put(BETA, save({k: v.cpu().contiguous() for k, v in beta.state_dict().items()}))
    store.put(BETA_CARD, json.dumps(card).encode())  # last: beta counts once its card is there
    return beta, card


def new_beta(job: TrainingJob) -> Beta:
    """An untrained beta of the size that the job's recipe names."""
    return Beta(job.alpha.skeleton.n_joints, job.alpha.channels, job.settings.beta.width)


def _read_beta(job: TrainingJob, store: Store) -> Beta:
    beta, where = new_beta(job), f"{store.uri}/{BETA}"
    tensors = {f"beta.{k}": v for k, v in load_tensors(store.get(BETA), where).items()}
    load_into(beta, tensors, "beta", where)
    return beta.to(job.device).eval()


def _train_beta(job: TrainingJob, report: Report) -> Beta:
    p, settings = job.settings, job.settings.beta
    torch.manual_seed(p.seed)
    beta = new_beta(job).to(job.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(beta.parameters(), lr=settings.lr, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=settings.steps, pct_start=0.1)
    rng = torch.Generator().manual_seed(p.seed)
    poses_NJ2 = torch.as_tensor(job.train.keypoints_NJ2)
    for step in range(settings.steps):
        rows = torch.randint(len(poses_NJ2), (settings.batch,), generator=rng)
        error = beta_step(beta, optimizer, poses_NJ2[rows], job.alpha, rng, job.bf16)
        if not math.isfinite(error):
            way_out = f"lower pretrain.beta.lr ({settings.lr:g})"
            raise TrainingError(f"beta's training, step {step + 1:,}", f"its error is {error}", way_out)
        schedule.step()
        if (step + 1) * BETA_REPORTS // settings.steps > step * BETA_REPORTS // settings.steps:
            pixels = round(error * job.alpha.size, 3)
            report({"beta_step": step + 1, "beta_steps": settings.steps, "beta_px": pixels})
    return beta.eval()


@torch.inference_mode()
def error_px(beta: Beta, alpha: Alpha, poses: PoseSet, batch: int = 64) -> float:
    """Mean joint error of beta on drawn poses, in pixels of alpha's image size."""
    device = next(beta.parameters()).device
    wanted_NJ2 = torch.as_tensor(poses.keypoints_NJ2)
    found_NJ2 = torch.cat([beta(alpha.draw(part.to(device)))[0].cpu() for part in wanted_NJ2.split(batch)])
    return mean_joint_error(found_NJ2.numpy(), poses.keypoints_NJ2) * alpha.size
