"""What a pretraining will take, before it is started: `flexpose pretrain --dry-run`.

A worker of several is probed with its share of the batch; the time that workers take to exchange gradients is left out.
"""

from __future__ import annotations

import torch

from flexpose_ray.config import PretrainConfig, Recipe, pretrain_key
from flexpose_ray.engine.runtime.progress import clock
from flexpose_ray.engine.train.job import TrainingJob, worker_threads
from flexpose_ray.engine.train.probe import probe
from flexpose_ray.engine.train.run import read_recipe_source, teacher_recipe
from flexpose_ray.engine.train.worker import Schedule
from flexpose_ray.text_table import text_table


def plan(recipe: Recipe, price_per_hour: float | None = None) -> dict:
    """Count and probe what ``recipe`` would train; nothing is written.

    Args:
        recipe: its ``source`` and ``pretrain`` apply.
        price_per_hour: of all machines together, in any currency.

    Returns:
        ``run`` (name of its folder), ``kind``, ``poses``, ``device``, ``workers`` (the most), ``batch`` (a worker's
        share), ``bf16``, ``parameters`` (of every network), ``flops_per_image`` (one of training, one of sampling),
        ``memory_bytes`` of a device, ``step_seconds``, ``kimg_per_hour``, ``hours`` (of every stage, and total),
        ``kimg``, ``cost`` where a price is given, and ``teacher``, the plan of the flow that teaches a StyleGAN.

    Raises:
        ConfigError, DataError: as :func:`read_recipe_source`.
        TrainingError: a step does not fit into memory.
    """
    p = recipe.pretrain
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    poses = read_recipe_source(recipe)
    _, workers = p.worker_range
    threads = worker_threads(p, workers)
    share = recipe.model_copy(update={"pretrain": _share(p, workers)})
    job = TrainingJob.of(share, poses, device)
    probed = probe(job, threads)
    hours = {stage: seconds / 3600 for stage, seconds in probed.stages_s.items()}
    learning = sum(hours[stage] for stage in hours if stage not in ("beta", "evaluation"))
    steps = Schedule.of(p).last
    hours["total"] = sum(hours.values())
    found = {
        "run": pretrain_key(recipe),
        "kind": p.kind,
        "poses": len(poses),
        "device": f"CPU, {threads} threads" if device.type == "cpu" else torch.cuda.get_device_name(),
        "workers": workers,
        "batch": share.pretrain.flow.batch if p.kind == "flow" else share.pretrain.batch,
        "bf16": job.bf16,
        "parameters": probed.parameters,
        "flops_per_image": {"training": probed.training_flops, "sampling": probed.sampling_flops},
        "memory_bytes": probed.memory_bytes,
        "step_seconds": learning * 3600 / steps,
        "kimg_per_hour": p.goal_kimg / learning,
        "kimg": p.goal_kimg,
        "hours": hours,
    }
    if p.taught:  # the flow is trained first, in a run of its own
        found["teacher"] = plan(teacher_recipe(recipe), price_per_hour)
    return found if price_per_hour is None else {**found, "cost": price_per_hour * hours["total"]}


def _share(p: PretrainConfig, workers: int) -> PretrainConfig:
    """The settings with one worker's share of every batch; a worker makes its share of a flow's pairs too."""
    f = p.flow
    flow = {name: max(1, getattr(f, name) // workers) for name in ("batch", "student_batch", "pairs")}
    return p.model_copy(update={"batch": p.batch // workers, "flow": f.model_copy(update=flow)})


def format_plan(found: dict) -> str:
    """The result of :func:`plan` as aligned text."""
    parts = [f"{name} {count:,}" for name, count in found["parameters"].items()]
    flops, hours = found["flops_per_image"], found["hours"]
    unit = "poses" if found["kind"] == "flow" else "images"
    workers = f"{found['workers']} worker{'s' if found['workers'] > 1 else ''}, {found['batch']} {unit} each a step"
    rows = [
        ("run", found["run"]),
        ("poses", f"{found['poses']:,}"),
        ("workers", workers),
        ("device", f"{found['device']}{', bfloat16' if found['bf16'] else ''}"),
        ("parameters", ", ".join(parts)),
        ("FLOPs a pose", f"{flops['training'] / 1e6:,.1f} M to train on, {flops['sampling'] / 1e6:,.1f} M to sample"),
        ("memory a device", f"{found['memory_bytes'] / 2**20:,.0f} MiB"),
        ("speed", f"{found['kimg_per_hour']:.1f} kimg/h ({found['step_seconds'] * 1000:.0f} ms a step)"),
        *((f"time, {name}", clock(hours[name] * 3600)) for name in hours if name != "total"),
        (f"time for {found['kimg']:g} kimg", clock(hours["total"] * 3600)),
    ]
    if "cost" in found:
        rows.append(("cost", f"{found['cost']:.2f}"))
    text = text_table(rows, "ll")
    return (
        f"first its teacher:\n{format_plan(found['teacher'])}\n\nthen the StyleGAN:\n{text}"
        if "teacher" in found
        else text
    )
