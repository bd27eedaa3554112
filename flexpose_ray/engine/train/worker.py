"""What every training worker runs.

The networks know nothing of workers: a batch is drawn by its step's number, every worker takes its share, and one
all-reduce averages the gradients, so that the result does not depend on how many workers there are.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import ray
import ray.train
import torch
import torch.distributed as dist
from ray.train.torch import get_device

from flexpose_ray.config import PretrainConfig, Recipe, pretrain_key
from flexpose_ray.engine.runtime.metrics import KIMG, KIMG_RATE, record_work
from flexpose_ray.engine.train.beta import BETA_CARD, BETA_REPORTS, trained_beta
from flexpose_ray.engine.train.checkpoint import last_checkpoint
from flexpose_ray.engine.train.failures import check_losses, memory_told
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.engine.train.record import Record
from flexpose_ray.engine.train.stop import Listener
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import pose_weights, split_mixture
from flexpose_ray.sources.parquet import read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from flexpose_ray.training.gan import GanTrainer
from flexpose_ray.training.settings import Completion, GanSettings, RealPoses, Worker

LEFT = "left"  # in the report of a worker that was asked to leave, after its checkpoint
PATIENCE_S = 600.0  # for a storage server that is away: workers start anew in no less


def train_worker(config: dict) -> None:
    """Train until the goal is reached; Ray Train calls this in every worker."""
    recipe, store = Recipe.model_validate(config["recipe"]), open_store(config["run"], PATIENCE_S)
    device = get_device()
    if device.type == "cpu":
        torch.set_num_threads(config["threads"])
    with memory_told(recipe.pretrain, device):
        _train(recipe, store, device, config["bell"])


def _train(recipe: Recipe, store: Store, device: torch.device, bell: ray.actor.ActorHandle) -> None:
    p = recipe.pretrain
    context = ray.train.get_context()
    rank, world = context.get_world_rank(), context.get_world_size()
    alpha = Alpha(recipe.skeleton, **p.alpha.model_dump())
    train, held = split_source(recipe, read_poses(f"{store.uri}/source.parquet"))
    bf16 = fast_bf16(device) if p.bf16 == "auto" else p.bf16
    beta, beta_card = _shared_beta(p, alpha, train, held, store, device, bf16, rank, world)
    trainer = gan_trainer(recipe, alpha, beta, train, device, bf16, rank, world)
    history = []
    if (last := last_checkpoint(store, pretrain_key(recipe))) is not None:
        trainer.load_state(last.tensors, last.numbers)
        history = last.history
    record = None
    if rank == 0:
        facts = {**beta_card, "poses": len(train)}
        record = Record(recipe, store, trainer, Judge(beta, train, held, recipe), history, facts)
    meter, listener = Meter(trainer), Listener(bell, rank, world, device)
    report_steps, eval_steps = (max(1, round(k * 1000 / p.batch)) for k in (p.report_kimg, p.eval_kimg))
    last_step = -(-round(p.kimg * 1000) // p.batch)
    while trainer.step_count < last_step:
        losses = trainer.step()
        done = trainer.step_count
        check_losses(losses, done, p)
        meter.add(losses)
        evaluates, leaves = done % eval_steps == 0 or done == last_step, listener.shall_leave(done)
        if done % report_steps and not evaluates and not leaves:
            continue
        row = meter.row(p.kimg)
        if record is not None:
            KIMG.record(row["kimg"], run=recipe.name)
            KIMG_RATE.record(row["kimg_s"], run=recipe.name)
            record.add(row, evaluates, leaves)
            if leaves or done == last_step:
                record.close()  # before the last report: what is reported is there
        meter.restart()
        ray.train.report((row | ({LEFT: True} if leaves else {})) if rank == 0 else {})
        if leaves:
            return


def _shared_beta(
    p: PretrainConfig,
    alpha: Alpha,
    train: PoseSet,
    held: PoseSet,
    store: Store,
    device: torch.device,
    bf16: bool,
    rank: int,
    world: int,
) -> tuple[Beta, dict]:
    """beta on every worker: the first one trains it where it is not there yet."""
    work = p, alpha, train, held, store, device, bf16, ray.train.report
    if world == 1:
        return trained_beta(*work)
    there = store.exists(BETA_CARD)
    dist.barrier()  # all have looked before the first one writes it
    if rank == 0:
        beta, card = trained_beta(*work)
    elif not there:
        for _ in range(BETA_REPORTS):  # every worker reports as often as the first
            ray.train.report({})
    dist.barrier()
    return (beta, card) if rank == 0 else trained_beta(*work)  # now it is there


def split_source(recipe: Recipe, poses: PoseSet) -> tuple[PoseSet, PoseSet]:
    """The run's source poses as (to train on, to judge by)."""
    p = recipe.pretrain
    return split_mixture(poses, p.held_out, p.seed, len(recipe.sources))


def build_networks(p: PretrainConfig) -> tuple[Generator, Discriminator]:
    """The untrained networks of a run, the same on every worker."""
    torch.manual_seed(p.seed)
    network = p.network.model_dump()
    shared = dict(size=p.alpha.size, channels=p.alpha.channels, base=p.network.base, most=p.network.most)
    return Generator(**{**network, **shared}), Discriminator(**shared)


def gan_trainer(
    recipe: Recipe,
    alpha: Alpha,
    beta: Beta,
    train: PoseSet,
    device: torch.device,
    bf16: bool,
    rank: int = 0,
    world: int = 1,
) -> GanTrainer:
    """The trainer of a run at its start."""
    p = recipe.pretrain
    networks = build_networks(p)
    same = {name: getattr(p, name) for name in GanSettings.__dataclass_fields__}
    settings = GanSettings(**{**same, "bf16": bf16})
    exchange = dict(reduce=partial(average, world=world), gather=partial(gather, world=world)) if world > 1 else {}
    poses = RealPoses(train.keypoints_NJ2, pose_weights(train, [source.weight for source in recipe.sources]))
    return GanTrainer(*networks, alpha, poses, settings, Worker(device, rank, world, **exchange), beta)


def average(tensors: list[torch.Tensor], world: int) -> Completion:
    """Begin to average tensors over all workers, as one flat all-reduce; what comes back awaits the end."""
    flat = torch.cat([t.reshape(-1) for t in tensors])
    work = dist.all_reduce(flat, async_op=True)

    def finish() -> None:
        work.wait()
        flat.div_(world)
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view_as(tensor))

    return finish


def gather(rows_N: torch.Tensor, world: int) -> torch.Tensor:
    """Rows of all workers, in the workers' order."""
    parts = [torch.empty_like(rows_N) for _ in range(world)]
    dist.all_gather(parts, rows_N.contiguous())
    return torch.cat(parts)


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is worth it there: on CUDA and on CPUs with instructions for it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()


class Meter:
    """Averages of the losses, over all workers, and the speed since the last report."""

    def __init__(self, trainer: GanTrainer):
        self.trainer = trainer
        self.restart()

    def restart(self) -> None:
        self.start, self.seen, self.sums = time.perf_counter(), self.trainer.images_seen, {}

    def add(self, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.sums.setdefault(name, []).append(value)

    def row(self, goal_kimg: float) -> dict[str, float]:
        kimg = self.trainer.images_seen / 1000
        seconds = time.perf_counter() - self.start
        rate = (self.trainer.images_seen - self.seen) / 1000 / seconds
        record_work("train", seconds, self.trainer.device.type)
        means = torch.tensor([np.mean(v) for v in self.sums.values()], dtype=torch.float64, device=self.trainer.device)
        self.trainer.worker.reduce([means])()
        losses = {name: round(mean, 5) for name, mean in zip(self.sums, means.tolist(), strict=True)}
        return {"kimg": kimg, "kimg_s": round(rate, 5), "eta_s": max(0, round((goal_kimg - kimg) / rate)), **losses}
