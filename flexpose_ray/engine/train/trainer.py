"""The networks of a pretraining, the trainer of their kind, and how its workers exchange gradients.

The networks know nothing of workers: a batch is drawn by its step's number, every worker takes its share, and one
all-reduce averages the gradients, so that the result does not depend on how many workers there are.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

import torch
import torch.distributed as dist

from flexpose_ray.config import PretrainConfig, Recipe
from flexpose_ray.engine.train.job import TrainingJob, alpha_of
from flexpose_ray.errors import ConfigError
from flexpose_ray.models.generators import Pretrained, load_generator
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow, joint_means
from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.moments import Moments
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import pose_weights
from flexpose_ray.training.flow import FlowTrainer, PoseFlowSettings
from flexpose_ray.training.gan import GanTrainer
from flexpose_ray.training.settings import Completion, GanSettings, RealPoses, Worker
from flexpose_ray.training.taught import TaughtSettings, TaughtTrainer


class Trainer(Protocol):
    """What all trainers have: steps, and states to resume from.

    Attributes:
        averaged: the moving average of the generator, which is judged and stored.
        step_count: steps so far.
        images_seen: images, or poses of a flow, trained on so far.
        device, worker: where it trains.
    """

    averaged: torch.nn.Module
    step_count: int
    images_seen: int
    device: torch.device
    worker: Worker

    def step(self) -> dict[str, float]:
        """Train on one batch; returns this worker's losses."""

    def finite(self) -> bool:
        """Whether all weights are finite numbers."""

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """All that training resumes from."""

    def load_state(self, tensors: dict[str, torch.Tensor], numbers: dict[str, float]) -> None:
        """Resume from :meth:`state`, bit for bit."""


def build_networks(p: PretrainConfig) -> tuple[Generator, Discriminator]:
    """The untrained networks of a run, the same on every worker."""
    torch.manual_seed(p.seed)
    network = p.network.model_dump()
    shared = dict(size=p.alpha.size, channels=p.alpha.channels, base=p.network.base, most=p.network.most)
    return Generator(**{**network, **shared}), Discriminator(**shared)


def build_flow(p: PretrainConfig, train: PoseSet) -> PoseFlow:
    """The untrained flow of a run, the same on every worker; its scale is that of the poses and their mirror images."""
    torch.manual_seed(p.seed)
    f, skeleton = p.flow, train.skeleton
    means = joint_means(train.keypoints_NJ2, skeleton)
    flow = PoseFlow(skeleton.text, means, f.width, f.hidden, f.depth, f.student)
    flow.fit_scale(with_mirrored(train.keypoints_NJ2, skeleton))
    return flow


def flow_trainer(job: TrainingJob) -> FlowTrainer:
    """The trainer of a flow at its start."""
    p, f = job.settings, job.settings.flow
    same = {name: getattr(f, name) for name in PoseFlowSettings.__dataclass_fields__ if hasattr(f, name)}
    settings = PoseFlowSettings(**same, bf16=job.bf16, seed=p.seed)
    return FlowTrainer(build_flow(p, job.train), _real_poses(job), settings, _worker(job))


def gan_trainer(job: TrainingJob, beta: Beta) -> GanTrainer:
    """The trainer of an adversarial run at its start."""
    p = job.settings
    same = {name: getattr(p, name) for name in GanSettings.__dataclass_fields__}
    settings = GanSettings(**{**same, "bf16": job.bf16})
    return GanTrainer(*build_networks(p), job.alpha, _real_poses(job), settings, _worker(job), beta)


def stylegan_to_start_from(job: TrainingJob) -> Pretrained | None:
    """The StyleGAN that a taught one starts from: its synthesis weights, its beta and its discriminator.

    Raises:
        ConfigError: it is a flow, or its skeleton images are drawn in another way.
        WeightsError: there is none at ``pretrain.start``.
    """
    if job.settings.start is None:
        return None
    before = load_generator(job.settings.start)
    before.need_stylegan("pretrain.start")
    mine, theirs = job.alpha.config, before.alpha.config
    if apart := [key for key in mine if mine[key] != theirs[key]]:
        (key, *_) = apart
        problem = f"{key} of its drawings is {theirs[key]}, here it is {mine[key]}"
        raise ConfigError("pretrain.start", problem, "draw alike (pretrain.alpha), or start from another")
    return before


def untaught(p: PretrainConfig, flow: PoseFlow) -> Generator:
    """The untrained generator that ``flow`` is to teach, the same on every worker; its w is as wide as its mapping."""
    torch.manual_seed(p.seed)
    network = p.network.model_dump() | {"w_size": max(p.network.w_size, p.network.pose_mapping[0])}
    return Generator.taught_by(flow, size=p.alpha.size, channels=p.alpha.channels, **network)


def taught_trainer(job: TrainingJob, beta: Beta, flow: PoseFlow, before: Pretrained | None = None) -> TaughtTrainer:
    """The trainer of a StyleGAN that ``flow`` teaches, at its start, which may be the StyleGAN ``before``.

    Raises:
        ConfigError: that one has other sizes.
    """
    p = job.settings
    settings = TaughtSettings(p.kimg, p.batch, p.lr, ema_kimg=min(p.ema_kimg, 4.0), bf16=job.bf16, seed=p.seed)
    generator = untaught(p, flow)
    if before is not None:
        generator.start_from(before.generator)
    trainer = TaughtTrainer(generator, beta, job.alpha, settings, _worker(job))
    trainer.discriminator = None if before is None else before.discriminator
    return trainer


def trained_networks(trainer: Trainer, recipe: Recipe, source: Moments, beta: Beta | None) -> Networks:
    """What a run has trained so far, as adaptation takes it; the networks are the trainer's own."""
    return Networks(trainer.averaged, getattr(trainer, "discriminator", None), beta, alpha_of(recipe), source)


def _real_poses(job: TrainingJob) -> RealPoses:
    weights_N = pose_weights(job.train, [source.weight for source in job.recipe.sources])
    return RealPoses(job.train.keypoints_NJ2, weights_N)


def _worker(job: TrainingJob) -> Worker:
    return exchanging_worker(job.device, job.rank, job.world)


def exchanging_worker(device: torch.device, rank: int, world: int) -> Worker:
    """A worker that averages and gathers over torch's process group, where there are several."""
    exchange = dict(reduce=partial(average, world=world), gather=partial(gather, world=world)) if world > 1 else {}
    return Worker(device, rank, world, **exchange)


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
