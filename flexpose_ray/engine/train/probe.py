"""Measurements of a pretraining on this machine's device: every stage's speed, FLOPs and memory, from a few steps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch

from flexpose_ray.engine.train.beta import new_beta
from flexpose_ray.engine.train.failures import memory_errors_explained
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.engine.train.measure import flops_of, memory_of, seconds_of, torch_threads
from flexpose_ray.engine.train.trainer import (
    Trainer,
    build_flow,
    flow_trainer,
    gan_trainer,
    stylegan_to_start_from,
    taught_trainer,
)
from flexpose_ray.judging.metrics import density_coverage, mmd2
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.sampler import FlowSampler, PoseSampler, StyleGanSampler
from flexpose_ray.training.beta import beta_step
from flexpose_ray.training.flow import FlowTrainer
from flexpose_ray.training.gan import GanTrainer

STEPS = 20  # that are timed, after two to warm up
FEW = 5  # the same of steps that always take alike
SAMPLES = 256  # of the timed evaluation


@dataclass(frozen=True)
class Probe:
    """What one worker of a pretraining takes.

    Attributes:
        parameters: of every network.
        training_flops: of one image or pose seen; forward and backward, R1 averaged in.
        sampling_flops: of one pose.
        memory_bytes: of a device.
        stages_s: seconds of every stage of the whole run, in their order: beta, field and student of a flow, or
            training; and all evaluations together.
    """

    parameters: dict[str, int]
    training_flops: float
    sampling_flops: float
    memory_bytes: int
    stages_s: dict[str, float]


def probe(job: TrainingJob, threads: int) -> Probe:
    """Run some steps of ``job`` with so many torch threads. A StyleGAN's teacher, a run of its own, is left out.

    Raises:
        TrainingError: a step does not fit into memory.
    """
    with torch_threads(threads), memory_errors_explained(job.settings, job.device):
        if job.settings.kind == "flow":
            return _probe_flow(job)
        return _probe_stylegan(job)


def _probe_flow(job: TrainingJob) -> Probe:
    f, trainer = job.settings.flow, flow_trainer(job)
    networks = {"field": trainer.flow.field, "student": trainer.flow.student}
    flops = flops_of(_again(trainer, 0)) * f.steps
    field_s = seconds_of(_again(trainer, 0), FEW)
    late = f.steps + f.student_steps - 1  # all pairs are there
    pairing_s, learning_s = (seconds_of(_again(trainer, step), FEW) for step in (f.steps + 1, late))
    flops += sum(flops_of(_again(trainer, step)) for step in (f.steps + 1, late)) * f.student_steps / 2
    memory = memory_of(_again(trainer, late), _held(trainer), job.device)
    seen = f.steps * f.batch + f.student_steps * f.student_batch
    sampler = FlowSampler(trainer.averaged, job.alpha, device=job.device)
    return Probe(
        parameters=_parameters(networks),
        training_flops=flops / seen,
        sampling_flops=_sampling_flops(sampler),
        memory_bytes=memory,
        stages_s={
            "field": field_s * f.steps,
            "student": (pairing_s + learning_s) * f.student_steps / 2,
            "evaluation": _evaluations_s(job, sampler),
        },
    )


def _probe_stylegan(job: TrainingJob) -> Probe:
    p, before = job.settings, stylegan_to_start_from(job) if job.settings.taught else None
    beta = new_beta(job) if before is None else before.beta
    stages_s = {"beta": _beta_step_s(job, beta) * p.beta.steps} if before is None else {}
    if p.taught:
        trainer = taught_trainer(job, beta, build_flow(p, job.train), before)
        networks, first = {"generator": trainer.generator, "beta": beta}, 0
        step_s, flops = seconds_of(_again(trainer, first), FEW), flops_of(_again(trainer, first))
    else:
        trainer = gan_trainer(job, beta)
        networks = {"generator": trainer.generator, "discriminator": trainer.discriminator, "beta": beta}
        first = trainer.step_count = _step_with_every_loss(trainer)
        every, times = p.r1_every, _seconds_by_r1(trainer, first)
        step_s = times[False] + (times[True] - times[False]) / every
        with_r1, without = (flops_of(_again(trainer, step)) for step in (first, first + (every > 1)))
        flops = without + (with_r1 - without) / every
    sampler = StyleGanSampler(trainer.averaged, beta, job.alpha, device=job.device)
    return Probe(
        parameters=_parameters(networks),
        training_flops=flops / p.batch,
        sampling_flops=_sampling_flops(sampler),
        memory_bytes=memory_of(_again(trainer, first), [*_held(trainer), *beta.state_dict().values()], job.device),
        stages_s={
            **stages_s,
            "training": step_s * p.kimg * 1000 / p.batch,
            "evaluation": _evaluations_s(job, sampler),
        },
    )


def _again(trainer: Trainer, step: int) -> Callable[[], None]:
    """Runs the step of that number, whatever was run before."""

    def run() -> None:
        trainer.step_count = step
        trainer.step()  # it reads losses, so the device has finished

    return run


def _step_with_every_loss(trainer: GanTrainer) -> int:
    """A step from which on all terms of the loss are there, with R1 next."""
    s = trainer.settings
    return -(-round(s.pose_from_kimg * 1000) // (s.batch * s.r1_every)) * s.r1_every


def _seconds_by_r1(trainer: GanTrainer, first: int) -> dict[bool, float]:
    """Median seconds of a step with R1 and of one without; the same where every step has it."""
    every, times = trainer.settings.r1_every, {True: [], False: []}
    for i in range(STEPS + 2):
        penalised = i % max(2, STEPS // 4) == 0  # as often as its median wants, not as often as it comes
        start = time.perf_counter()
        _again(trainer, first if penalised or every == 1 else first + 1)()
        if i >= 2:
            times[penalised or every == 1].append(time.perf_counter() - start)
    return {key: median(times[key] or times[not key]) for key in times}


def _beta_step_s(job: TrainingJob, beta: Beta) -> float:
    beta.to(job.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(beta.parameters(), lr=0.0, fused=True)
    poses_NJ2 = job.train.keypoints_NJ2
    batch_NJ2 = torch.as_tensor(np.resize(poses_NJ2, (job.settings.beta.batch, *poses_NJ2.shape[1:])))
    rng = torch.Generator().manual_seed(0)
    return seconds_of(lambda: beta_step(beta, optimizer, batch_NJ2, job.alpha, rng, job.bf16), FEW)


def _evaluations_s(job: TrainingJob, sampler: PoseSampler) -> float:
    """Seconds of all evaluations: sampling, and distances, which grow with the square of the poses."""
    p, held_NJ2 = job.settings, job.held.keypoints_NJ2
    start = time.perf_counter()
    poses_NJ2, _ = sampler.sample(0, np.arange(SAMPLES))
    sampling = (time.perf_counter() - start) * p.eval_samples / SAMPLES
    start = time.perf_counter()
    mmd2(poses_NJ2, held_NJ2[:SAMPLES])
    density_coverage(poses_NJ2, held_NJ2[:SAMPLES])
    real = min(2 * len(held_NJ2), p.eval_samples)
    comparing = (time.perf_counter() - start) * (real / min(len(held_NJ2), SAMPLES)) ** 2
    return (sampling + comparing) * -(-p.goal_kimg // p.every_kimg[1])


@torch.no_grad()
def _sampling_flops(sampler: PoseSampler) -> float:
    z_NZ = torch.zeros(1, sampler.z_size, device=sampler.device)
    if isinstance(sampler, StyleGanSampler):
        return flops_of(lambda: sampler.beta(sampler.images(z_NZ)))
    return flops_of(lambda: sampler.poses_of_latents()(z_NZ))


def _parameters(networks: dict[str, torch.nn.Module]) -> dict[str, int]:
    return {name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()}


def _held(trainer: Trainer) -> list[torch.Tensor]:
    """What a trainer holds all the time: its state, the gradients, the poses."""
    tensors, _ = trainer.state()
    gradients = [p for name, p in tensors.items() if name.startswith(("generator.", "discriminator."))]
    poses = trainer.x_NZ if isinstance(trainer, FlowTrainer) else getattr(trainer, "poses_NJ2", None)
    return [*tensors.values(), *gradients, *([] if poses is None else [poses])]
