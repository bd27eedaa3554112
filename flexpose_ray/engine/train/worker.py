"""The training loop, which runs in every worker."""

from __future__ import annotations

import time
from dataclasses import dataclass

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
from flexpose_ray.engine.train.failures import check_losses, memory_errors_explained
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.engine.train.record import Record
from flexpose_ray.engine.train.stop import StopListener
from flexpose_ray.engine.train.trainer import (
    Trainer,
    flow_trainer,
    gan_trainer,
    stylegan_to_start_from,
    taught_trainer,
)
from flexpose_ray.models.generators import Pretrained, load_generator
from flexpose_ray.networks.beta import Beta
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

STOPPED = "stopped"  # in the last report of a worker that was asked to stop, after its checkpoint
PATIENCE_S = 600.0  # for a storage server that is away: to start workers anew takes no less


def train_worker(config: dict) -> None:
    """Train until the goal is reached or a stop is requested; Ray Train calls this in every worker.

    Args:
        config: ``recipe`` (as JSON), ``run`` (URI of its folder), ``threads`` (torch threads on a CPU), ``stop`` (actor
            of a :class:`StopSignal`), ``teacher`` (URI of the flow that teaches a StyleGAN, or None).
    """
    recipe, store = Recipe.model_validate(config["recipe"]), open_store(config["run"], PATIENCE_S)
    device, context = get_device(), ray.train.get_context()
    torch.set_num_threads(config["threads"])  # workers start with one
    with memory_errors_explained(recipe.pretrain, device):
        poses = read_poses(f"{store.uri}/source.parquet")
        job = TrainingJob.of(recipe, poses, device, context.get_world_rank(), context.get_world_size())
        beta, facts = None, {"poses": len(job.train)}
        if recipe.pretrain.kind == "flow":
            trainer = flow_trainer(job)
        elif config["teacher"]:
            teacher, before = load_generator(config["teacher"], PATIENCE_S), stylegan_to_start_from(job)
            beta, beta_card = _shared_beta(job, store) if before is None else _beta_of(before, job)
            facts |= {"teacher": teacher.digest, **beta_card}
            trainer = taught_trainer(job, beta, teacher.generator, before)
        else:
            beta, beta_card = _shared_beta(job, store)
            facts |= beta_card
            trainer = gan_trainer(job, beta)
        history = _resume(trainer, store, recipe)
        record = None
        if job.rank == 0:
            judge = Judge(job.train, job.held, recipe)
            record = Record(recipe, store, trainer, judge, history, facts, beta)
        _train(trainer, recipe, record, StopListener(config["stop"], job))


def _shared_beta(job: TrainingJob, store: Store) -> tuple[Beta, dict]:
    """beta and its card on every worker: worker 0 trains it where it is not on storage yet."""
    if job.world == 1:
        return trained_beta(job, store, ray.train.report)
    on_storage = store.exists(BETA_CARD)
    dist.barrier()  # all have looked before worker 0 writes it
    if job.rank == 0:
        beta, card = trained_beta(job, store, ray.train.report)
    elif not on_storage:
        for _ in range(BETA_REPORTS):  # Ray Train wants every worker to report equally often
            ray.train.report({})
    dist.barrier()
    return (beta, card) if job.rank == 0 else trained_beta(job, store, ray.train.report)  # reads what was written


def _beta_of(before: Pretrained, job: TrainingJob) -> tuple[Beta, dict]:
    """The beta of the StyleGAN that training starts from, and what its card says about it."""
    card = {name: before.card[name] for name in ("beta_error_px",) if name in before.card}
    return before.beta.to(job.device), card


def _resume(trainer: Trainer, store: Store, recipe: Recipe) -> list[dict[str, float]]:
    """Load the run's last checkpoint, where there is one, and return its history."""
    last = last_checkpoint(store, pretrain_key(recipe))
    if last is None:
        return []
    trainer.load_state(last.tensors, last.numbers)
    return last.history


def _train(trainer: Trainer, recipe: Recipe, record: Record | None, stop: StopListener) -> None:
    """Step by step to the end, or to the step after which all workers stop.

    Args:
        record: of worker 0; None on the others.
    """
    schedule, meter = Schedule.of(recipe.pretrain), Meter(trainer)
    while trainer.step_count < schedule.last:
        losses = trainer.step()
        step = trainer.step_count
        check_losses(losses, step, recipe.pretrain)
        meter.add(losses)
        stops = stop.requested(step)
        if stops or schedule.reports_at(step):
            row = meter.row(recipe.pretrain.goal_kimg)
            if record is not None:
                KIMG.record(row["kimg"], run=recipe.name)
                KIMG_RATE.record(row["kimg_s"], run=recipe.name)
                record.add(row, schedule.evaluates_at(step), stops)
                if stops or step == schedule.last:
                    record.close()  # before the last report: what is reported is on storage
            meter.restart()
            ray.train.report({} if record is None else row | ({STOPPED: True} if stops else {}))
        if stops:
            return


@dataclass(frozen=True)
class Schedule:
    """Which steps of a run are reported and evaluated.

    Attributes:
        report_every: steps between two reports.
        evaluate_every: steps between two evaluations, which are reported too.
        last: step that ends the run.
    """

    report_every: int
    evaluate_every: int
    last: int

    @staticmethod
    def of(p: PretrainConfig) -> Schedule:
        if p.kind == "flow":  # its two stages have batches of their own
            last = p.flow.steps + p.flow.student_steps
            steps_of_kimg = last / p.goal_kimg
        else:
            last = -(-round(p.kimg * 1000) // p.batch)
            steps_of_kimg = 1000 / p.batch
        report_every, evaluate_every = (max(1, round(kimg * steps_of_kimg)) for kimg in p.every_kimg)
        return Schedule(report_every, evaluate_every, last)

    def evaluates_at(self, step: int) -> bool:
        return step % self.evaluate_every == 0 or step == self.last

    def reports_at(self, step: int) -> bool:
        return step % self.report_every == 0 or self.evaluates_at(step)


class Meter:
    """Averages of the losses, over all workers, and the speed since the last report."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer
        self.restart()

    def restart(self) -> None:
        self.start, self.seen, self.sums = time.perf_counter(), self.trainer.images_seen, {}

    def add(self, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.sums.setdefault(name, []).append(value)

    def row(self, goal_kimg: float) -> dict[str, float]:
        """kimg so far, kimg a second, seconds to ``goal_kimg``, and the mean of every loss; all workers call it."""
        kimg = self.trainer.images_seen / 1000
        seconds = time.perf_counter() - self.start
        rate = (self.trainer.images_seen - self.seen) / 1000 / seconds
        record_work("train", seconds, self.trainer.device.type)
        means = torch.tensor([np.mean(v) for v in self.sums.values()], dtype=torch.float64, device=self.trainer.device)
        self.trainer.worker.reduce([means])()
        losses = {name: round(mean, 5) for name, mean in zip(self.sums, means.tolist(), strict=True)}
        return {"kimg": kimg, "kimg_s": round(rate, 5), "eta_s": max(0, round((goal_kimg - kimg) / rate)), **losses}
