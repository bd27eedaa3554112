"""Measurements of a pretraining on this machine's device: memory and time by running some steps, FLOPs by counting."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from flexpose_ray.engine.train.beta import new_beta
from flexpose_ray.engine.train.failures import memory_errors_explained
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.engine.train.trainer import gan_trainer
from flexpose_ray.judging.metrics import mmd2
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.training.beta import beta_step
from flexpose_ray.training.gan import GanTrainer

STEPS = 20  # that are timed, after two to warm up
BETA_STEPS = 5
SAMPLES = 256  # of the timed evaluation


@dataclass(frozen=True)
class Probe:
    """What one worker of a pretraining takes.

    Attributes:
        parameters: of generator, discriminator and beta.
        training_flops: of one image seen, R1 averaged in; forward and backward.
        sampling_flops: of one pose.
        memory_bytes: of a device.
        beta_step_s: seconds of a step of beta's training.
        step_s: seconds of a step of training, R1 averaged in.
        evaluation_s: seconds of an evaluation.
    """

    parameters: dict[str, int]
    training_flops: float
    sampling_flops: float
    memory_bytes: int
    beta_step_s: float
    step_s: float
    evaluation_s: float


def probe(job: TrainingJob, threads: int) -> Probe:
    """Run some steps of ``job`` with so many torch threads.

    Raises:
        TrainingError: a step does not fit into memory.
    """
    with _torch_threads(threads), memory_errors_explained(job.settings, job.device):
        beta = new_beta(job)
        beta_step_s = _beta_step_seconds(job, beta)
        trainer = gan_trainer(job, beta)
        trainer.step_count = _step_with_every_loss(trainer)
        networks = {"generator": trainer.generator, "discriminator": trainer.discriminator, "beta": beta}
        return Probe(
            parameters={name: sum(p.numel() for p in network.parameters()) for name, network in networks.items()},
            memory_bytes=_memory_bytes(trainer),
            training_flops=_training_flops(trainer),
            sampling_flops=_sampling_flops(trainer),
            beta_step_s=beta_step_s,
            step_s=_step_seconds(trainer),
            evaluation_s=_evaluation_seconds(job, trainer),
        )


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _step_with_every_loss(trainer: GanTrainer) -> int:
    """A step from which on all terms of the loss are there, with R1 next."""
    s = trainer.settings
    return -(-round(s.pose_from_kimg * 1000) // (s.batch * s.r1_every)) * s.r1_every


def _beta_step_seconds(job: TrainingJob, beta: Beta) -> float:
    beta.to(job.device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(beta.parameters(), lr=0.0, fused=True)
    poses_NJ2 = job.train.keypoints_NJ2
    batch_NJ2 = torch.as_tensor(np.resize(poses_NJ2, (job.settings.beta.batch, *poses_NJ2.shape[1:])))
    rng, times = torch.Generator().manual_seed(0), []
    for _ in range(1 + BETA_STEPS):
        start = time.perf_counter()
        beta_step(beta, optimizer, batch_NJ2, job.alpha, rng, job.bf16)
        times.append(time.perf_counter() - start)
    return median(times[1:])


def _step_seconds(trainer: GanTrainer) -> float:
    """Mean time of a step, R1 averaged in, from the medians of steps with and without it."""
    every, first = trainer.settings.r1_every, trainer.step_count
    times: dict[bool, list[float]] = {True: [], False: []}
    for i in range(STEPS + 2):
        penalised = i % max(2, STEPS // 4) == 0  # as often as its median wants, not as often as it comes
        trainer.step_count = first if penalised or every == 1 else first + 1
        start = time.perf_counter()
        trainer.step()  # it reads losses, so the device has finished
        if i >= 2:
            times[trainer.step_count == first + 1].append(time.perf_counter() - start)
    with_r1, without = (median(times[key] or times[not key]) for key in (True, False))
    return without + (with_r1 - without) / every


def _evaluation_seconds(job: TrainingJob, trainer: GanTrainer) -> float:
    """Seconds of sampling and of MMD^2, which grows with the square of the poses."""
    samples, held_NJ2 = job.settings.eval_samples, job.held.keypoints_NJ2
    sampler = StyleGanSampler(trainer.averaged, trainer.beta, trainer.alpha, device=trainer.device)
    start = time.perf_counter()
    poses_NJ2, _ = sampler.sample(0, np.arange(SAMPLES))
    sampling = (time.perf_counter() - start) * samples / SAMPLES
    start = time.perf_counter()
    mmd2(poses_NJ2, held_NJ2[:SAMPLES])
    real = min(2 * len(held_NJ2), samples)
    return sampling + (time.perf_counter() - start) * (real / min(len(held_NJ2), SAMPLES)) ** 2


def _training_flops(trainer: GanTrainer) -> float:
    first, counts = trainer.step_count, []
    for step in (first, first + 1):
        trainer.step_count = step
        with _FlopCounter() as counter:
            trainer.step()
        counts.append(counter.total)
    trainer.step_count = first
    every = trainer.settings.r1_every
    without = counts[1] if every > 1 else counts[0]
    return (without + (counts[0] - without) / every) / trainer.settings.batch


@torch.no_grad()
def _sampling_flops(trainer: GanTrainer) -> float:
    z = torch.zeros(1, trainer.generator.z_size, device=trainer.device)
    with _FlopCounter() as counter:
        trainer.beta(trainer.averaged(z))
    return counter.total


class _FlopCounter(TorchDispatchMode):
    """Sums up FLOPs by torch's own formulas. Torch's FlopCounterMode also follows modules, which gradients with respect
    to images, as R1 takes them, do not survive."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if (formula := flop_registry.get(function._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _memory_bytes(trainer: GanTrainer) -> int:
    """Memory of a device: on a GPU the most that a step with R1 has allocated; on a CPU networks, gradients, moments
    and poses, and what such a step keeps for its backward passes."""
    first = trainer.step_count
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
        trainer.step()
        trainer.step_count = first
        return torch.cuda.max_memory_allocated(trainer.device)
    most, alive = 0, {}

    def pack(tensor: torch.Tensor) -> _SavedTensor:
        nonlocal most
        saved = _SavedTensor(tensor, alive)
        most = max(most, sum(size for size, _ in alive.values()))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        trainer.step()
    trainer.step_count = first
    tensors, _ = trainer.state()
    gradients = sum(p.numel() * p.element_size() for p in trainer.generator.parameters())
    gradients += sum(p.numel() * p.element_size() for p in trainer.discriminator.parameters())
    fixed = [*tensors.values(), *trainer.beta.state_dict().values(), trainer.poses_NJ2]
    return most + gradients + sum(t.numel() * t.element_size() for t in fixed)


class _SavedTensor:
    """A tensor that a backward pass waits for; ``alive`` counts each block of memory once, as long as one holds it."""

    def __init__(self, tensor: torch.Tensor, alive: dict[int, tuple[int, int]]):
        self.tensor, self.alive = tensor, alive
        block = tensor.untyped_storage()
        self.address = block.data_ptr()
        _, holders = alive.get(self.address, (0, 0))
        alive[self.address] = block.nbytes(), holders + 1

    def __del__(self):
        size, holders = self.alive[self.address]
        if holders == 1:
            del self.alive[self.address]
        else:
            self.alive[self.address] = size, holders - 1
