"""What a pretraining will take, before it is started: `flexpose pretrain --dry-run`.

Counted: parameters and FLOPs. Measured, by a probe of some steps on this machine's device: memory, time. A worker of
several is probed with its share of the batch; what workers say to each other is not part of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from flexpose_ray.config import PretrainConfig, Recipe, pretrain_key
from flexpose_ray.engine.runtime.progress import clock
from flexpose_ray.engine.train.failures import memory_told
from flexpose_ray.engine.train.run import read_recipe_source
from flexpose_ray.engine.train.worker import fast_bf16, gan_trainer, split_source
from flexpose_ray.judging.metrics import mmd2
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.training.beta import beta_step
from flexpose_ray.training.gan import GanTrainer

STEPS = 20  # of the probe, after two to warm up
BETA_STEPS = 5
SAMPLES = 256  # of the probed evaluation


def plan(recipe: Recipe, price_per_hour: float | None = None) -> dict:
    """Count and probe what ``recipe`` would train; nothing is written.

    Args:
        recipe: its ``source`` and ``pretrain`` count.
        price_per_hour: of all machines together, in any currency.

    Returns:
        ``run`` (name of its folder), ``poses``, ``device``, ``workers`` (the most), ``batch`` (a worker's share),
        ``bf16``, ``parameters`` (generator, discriminator, beta), ``flops_per_image`` (one of training, one of
        sampling), ``memory_bytes`` of a device, ``step_seconds``, ``kimg_per_hour``, ``hours`` (beta, training,
        evaluation, total), ``kimg``, and ``cost`` where a price is given.

    Raises:
        ConfigError, DataError: as :func:`read_recipe_source`.
        TrainingError: a step does not fit into memory.
    """
    p = recipe.pretrain
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    poses = read_recipe_source(recipe)
    train, held = split_source(recipe, poses)
    _, workers = p.worker_range
    threads = p.threads or max(1, (os.cpu_count() or 1) // workers)  # as the run itself sets them
    share = recipe.model_copy(update={"pretrain": p.model_copy(update={"batch": p.batch // workers})})
    bf16 = fast_bf16(device) if p.bf16 == "auto" else p.bf16
    alpha = Alpha(recipe.skeleton, **p.alpha.model_dump())
    beta = Beta(alpha.skeleton.n_joints, alpha.channels, p.beta.width)
    with _threads(threads), memory_told(p, device):
        beta_s = _beta_seconds(p, beta, alpha, train, device, bf16)
        trainer = gan_trainer(share, alpha, beta, train, device, bf16)
        trainer.step_count = _late(trainer)
        parameters = {
            "generator": _count(trainer.generator),
            "discriminator": _count(trainer.discriminator),
            "beta": _count(beta),
        }
        memory = _memory(trainer)
        flops = {"training": _training_flops(trainer), "sampling": _sampling_flops(trainer)}
        step_s = _step_seconds(trainer)
        evaluation_s = _evaluation_seconds(p, trainer, held)
    rate = p.batch / 1000 / step_s  # kimg/s
    hours = {
        "beta": beta_s * p.beta.steps / 3600,
        "training": p.kimg / rate / 3600,
        "evaluation": evaluation_s * -(-p.kimg // p.eval_kimg) / 3600,
    }
    hours["total"] = sum(hours.values())
    found = {
        "run": pretrain_key(recipe),
        "poses": len(poses),
        "device": f"CPU, {threads} threads" if device.type == "cpu" else torch.cuda.get_device_name(),
        "workers": workers,
        "batch": p.batch // workers,
        "bf16": bf16,
        "parameters": parameters,
        "flops_per_image": flops,
        "memory_bytes": memory,
        "step_seconds": step_s,
        "kimg_per_hour": rate * 3600,
        "kimg": p.kimg,
        "hours": hours,
    }
    return found if price_per_hour is None else {**found, "cost": price_per_hour * hours["total"]}


def format_plan(found: dict) -> str:
    """The result of :func:`plan` as aligned text."""
    parts = [f"{name} {count:,}" for name, count in found["parameters"].items()]
    flops, hours = found["flops_per_image"], found["hours"]
    workers = f"{found['workers']} worker{'s' if found['workers'] > 1 else ''}, {found['batch']} images each a step"
    rows = [
        ("run", found["run"]),
        ("poses", f"{found['poses']:,}"),
        ("workers", workers),
        ("device", f"{found['device']}{', bfloat16' if found['bf16'] else ''}"),
        ("parameters", ", ".join(parts)),
        ("FLOPs an image", f"{flops['training'] / 1e9:.2f} G to train on, {flops['sampling'] / 1e9:.2f} G to sample"),
        ("memory a device", f"{found['memory_bytes'] / 2**20:,.0f} MiB"),
        ("speed", f"{found['kimg_per_hour']:.1f} kimg/h ({found['step_seconds'] * 1000:.0f} ms a step)"),
        *((f"time, {name}", clock(hours[name] * 3600)) for name in ("beta", "training", "evaluation")),
        (f"time for {found['kimg']:g} kimg", clock(hours["total"] * 3600)),
    ]
    if "cost" in found:
        rows.append(("cost", f"{found['cost']:.2f}"))
    wide = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{wide}}  {value}" for name, value in rows)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _count(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _late(trainer: GanTrainer) -> int:
    """A step from which on all terms of the loss are there, with R1 next."""
    s = trainer.settings
    return -(-round(s.pose_from_kimg * 1000) // (s.batch * s.r1_every)) * s.r1_every


def _beta_seconds(
    p: PretrainConfig, beta: Beta, alpha: Alpha, train: PoseSet, device: torch.device, bf16: bool
) -> float:
    beta.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(beta.parameters(), lr=0.0, fused=True)
    poses_NJ2 = torch.as_tensor(np.resize(train.keypoints_NJ2, (p.beta.batch, *train.keypoints_NJ2.shape[1:])))
    rng, times = torch.Generator().manual_seed(0), []
    for _ in range(1 + BETA_STEPS):
        start = time.perf_counter()
        beta_step(beta, optimizer, poses_NJ2, alpha, rng, bf16)
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


def _evaluation_seconds(p: PretrainConfig, trainer: GanTrainer, held: PoseSet) -> float:
    sampler = PoseSampler(trainer.averaged, trainer.beta, trainer.alpha, device=trainer.device)
    start = time.perf_counter()
    poses_NJ2, _ = sampler.sample(0, np.arange(SAMPLES))
    sampling = (time.perf_counter() - start) * p.eval_samples / SAMPLES
    start = time.perf_counter()
    mmd2(poses_NJ2, held.keypoints_NJ2[:SAMPLES])
    real = min(2 * len(held), p.eval_samples)
    return sampling + (time.perf_counter() - start) * (real / min(len(held), SAMPLES)) ** 2


def _training_flops(trainer: GanTrainer) -> float:
    """Of one image seen, R1 averaged in; forward and backward."""
    first, counts = trainer.step_count, []
    for step in (first, first + 1):
        trainer.step_count = step
        with _Flops() as counter:
            trainer.step()
        counts.append(counter.total)
    trainer.step_count = first
    every = trainer.settings.r1_every
    without = counts[1] if every > 1 else counts[0]
    return (without + (counts[0] - without) / every) / trainer.settings.batch


@torch.no_grad()
def _sampling_flops(trainer: GanTrainer) -> float:
    """Of one pose: generator and beta."""
    z = torch.zeros(1, trainer.generator.z_size, device=trainer.device)
    with _Flops() as counter:
        trainer.beta(trainer.averaged(z))
    return counter.total


class _Flops(TorchDispatchMode):
    """Sums up FLOPs by torch's own formulas. Its FlopCounterMode also follows modules, which gradients with respect to
    images, as R1 takes them, do not survive."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if (formula := flop_registry.get(function._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def _memory(trainer: GanTrainer) -> int:
    """Bytes that training takes on a device: on a GPU the most that a step with R1 has allocated; on a CPU networks,
    gradients, moments and poses, and what such a step keeps for its backward passes."""
    first = trainer.step_count
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
        trainer.step()
        trainer.step_count = first
        return torch.cuda.max_memory_allocated(trainer.device)
    most, alive = 0, {}

    def pack(tensor: torch.Tensor) -> _Kept:
        nonlocal most
        kept = _Kept(tensor, alive)
        most = max(most, sum(size for size, _ in alive.values()))
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
        trainer.step()
    trainer.step_count = first
    tensors, _ = trainer.state()
    gradients = sum(p.numel() * p.element_size() for p in trainer.generator.parameters())
    gradients += sum(p.numel() * p.element_size() for p in trainer.discriminator.parameters())
    fixed = [*tensors.values(), *trainer.beta.state_dict().values(), trainer.poses_NJ2]
    return most + gradients + sum(t.numel() * t.element_size() for t in fixed)


class _Kept:
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
