"""The networks of a pretraining, their trainer, and how its workers exchange gradients.

The networks know nothing of workers: a batch is drawn by its step's number, every worker takes its share, and one
all-reduce averages the gradients, so that the result does not depend on how many workers there are.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.distributed as dist

from flexpose_ray.config import PretrainConfig
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.sources.mixture import pose_weights
from flexpose_ray.training.gan import GanTrainer
from flexpose_ray.training.settings import Completion, GanSettings, RealPoses, Worker


def build_networks(p: PretrainConfig) -> tuple[Generator, Discriminator]:
    """The untrained networks of a run, the same on every worker."""
    torch.manual_seed(p.seed)
    network = p.network.model_dump()
    shared = dict(size=p.alpha.size, channels=p.alpha.channels, base=p.network.base, most=p.network.most)
    return Generator(**{**network, **shared}), Discriminator(**shared)


def gan_trainer(job: TrainingJob, beta: Beta) -> GanTrainer:
    """The trainer of a run at its start."""
    p, world = job.settings, job.world
    networks = build_networks(p)
    same = {name: getattr(p, name) for name in GanSettings.__dataclass_fields__}
    settings = GanSettings(**{**same, "bf16": job.bf16})
    exchange = dict(reduce=partial(average, world=world), gather=partial(gather, world=world)) if world > 1 else {}
    weights_N = pose_weights(job.train, [source.weight for source in job.recipe.sources])
    worker = Worker(job.device, job.rank, world, **exchange)
    return GanTrainer(*networks, job.alpha, RealPoses(job.train.keypoints_NJ2, weights_N), settings, worker, beta)


def average(tensors: list[torch.Tensor], world: int) -> Completion:
    """Begin to average tensors over all workers, as one flat all-reduce; call what is returned to wait for the end."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    work = dist.all_reduce(flat, async_op=True)

    def finish() -> None:
        work.wait()
        flat.div_(world)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    return finish


def gather(rows_N: torch.Tensor, world: int) -> torch.Tensor:
    """Rows of all workers, in the order of their ranks."""
    parts = [torch.empty_like(rows_N) for _ in range(world)]
    dist.all_gather(parts, rows_N.contiguous())
    return torch.cat(parts)
