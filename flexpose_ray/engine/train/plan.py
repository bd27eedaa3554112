"""What a pretraining will take, before it is started: `flexpose pretrain --dry-run`.

A worker of several is probed with its share of the batch; the time that workers take to exchange gradients is left out.
"""

from __future__ import annotations

import torch

from flexpose_ray.config import Recipe, pretrain_key
from flexpose_ray.engine.runtime.progress import clock
from flexpose_ray.engine.train.job import TrainingJob, worker_threads
from flexpose_ray.engine.train.probe import probe
from flexpose_ray.engine.train.run import read_recipe_source
from flexpose_ray.text_table import text_table


def plan(recipe: Recipe, price_per_hour: float | None = None) -> dict:
    """Count and probe what ``recipe`` would train; nothing is written.

    Args:
        recipe: its ``source`` and ``pretrain`` apply.
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
    _, workers = p.worker_range
    threads = worker_threads(p, workers)
    share = recipe.model_copy(update={"pretrain": p.model_copy(update={"batch": p.batch // workers})})
    job = TrainingJob.of(share, poses, device)
    probed = probe(job, threads)
    rate = p.batch / 1000 / probed.step_s  # kimg/s
    hours = {
        "beta": probed.beta_step_s * p.beta.steps / 3600,
        "training": p.kimg / rate / 3600,
        "evaluation": probed.evaluation_s * -(-p.kimg // p.eval_kimg) / 3600,
    }
    hours["total"] = sum(hours.values())
    found = {
        "run": pretrain_key(recipe),
        "poses": len(poses),
        "device": f"CPU, {threads} threads" if device.type == "cpu" else torch.cuda.get_device_name(),
        "workers": workers,
        "batch": p.batch // workers,
        "bf16": job.bf16,
        "parameters": probed.parameters,
        "flops_per_image": {"training": probed.training_flops, "sampling": probed.sampling_flops},
        "memory_bytes": probed.memory_bytes,
        "step_seconds": probed.step_s,
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
    return text_table(rows, "ll")
