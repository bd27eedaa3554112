"""One trial over adaptation, as Tune runs it in a worker: learn tau, look at its poses now and then, judge them."""

from __future__ import annotations

import copy
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
import torch
from ray import tune

from flexpose_ray.config import parse
from flexpose_ray.config.sweep_recipe import SweepRecipe
from flexpose_ray.engine.runtime.memory import keep_memory
from flexpose_ray.errors import TrainingError
from flexpose_ray.judging.metrics import density_coverage, frechet_distance, mmd2
from flexpose_ray.judging.scores import NEIGHBOURS
from flexpose_ray.methods.flexpose import FlexPoseSettings, adapt
from flexpose_ray.models.generators import Pretrained
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.networks.transfer import Transfer

SAMPLE_SEED = 2**32  # far from the seeds of training latents

Report = Callable[..., None]  # takes a row, and where trials breed a checkpoint


@dataclass(frozen=True)
class Study:
    """What all trials share, by reference into the object store.

    Attributes:
        recipe: of the sweep, as JSON.
        networks: the generator to adapt and all that belongs to it.
        held: held-out target poses to judge by, crop units.
        shots: the annotated poses by :func:`draw_key`.
    """

    recipe: dict
    networks: ray.ObjectRef
    held: ray.ObjectRef
    shots: dict[str, ray.ObjectRef]


def draw_key(shots_per_label: int, seed: int) -> str:
    """Name of a draw of shots."""
    return f"{shots_per_label} a label, seed {seed}"


def adapt_trial(config: dict[str, Any], study: Study) -> None:
    """Run one point and report how it went; a failure is a report too, so that the worker stays for the next trial."""
    torch.set_num_threads(1)
    keep_memory()
    report_ended(tune.report, lambda report: _adapt_and_judge(config["point"], study, report))


def report_ended(report: Report, work: Callable[[Report], dict]) -> None:
    """Do a trial's ``work`` and report its end: status, scores or error, start and worker with every row."""
    head = {"started": time.time(), "worker": f"{platform.node()}:{os.getpid()}"}  # of this try
    try:
        end = {"status": "done", **work(lambda row, **more: report({**row, **head}, **more))}
    except Exception as error:  # whatever it is, it is this trial's alone
        end = {"status": "failed", "error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
    report({**end, **head, "ended": time.time()})


def _adapt_and_judge(point: dict[str, Any], study: Study, report: Report) -> dict:
    recipe = parse(SweepRecipe, study.recipe, "sweep").at(point)
    parts, held_NJ2 = _local(study.networks), _local(study.held)
    shots_NJ2 = _local(study.shots[draw_key(recipe.target.shots_per_label, recipe.target.seed)])
    sweep, settings = recipe.sweep, FlexPoseSettings(**recipe.adapt.model_dump())
    device = "cuda" if ray.get_gpu_ids() else "cpu"
    looking, losses = 0.0, []

    def poses(transfer: Transfer, count: int) -> np.ndarray:
        # A copy: sampling freezes what it is given.
        sampler = PoseSampler(parts.generator, parts.beta, parts.alpha, copy.deepcopy(transfer), device=device)
        return sampler.sample(SAMPLE_SEED + sweep.seed, np.arange(count))[0]

    def note(row: dict) -> None:
        losses.append(row["loss"])
        if not math.isfinite(row["loss"]):
            way_out = f"lower adapt.lr ({settings.lr:g})"
            raise TrainingError(f"adaptation, step {row['step']:,}", f"the loss is {row['loss']}", way_out)

    def look(step: int, transfer: Transfer) -> None:
        nonlocal looking
        if sweep.every is None or step % sweep.every or step == settings.steps:
            return
        began = time.perf_counter()
        fd = frechet_distance(poses(transfer, sweep.report_samples), held_NJ2)
        report({"step": step, "loss": losses[-1], "fd": fd})
        looking += time.perf_counter() - began

    began = time.perf_counter()
    transfer = adapt(parts, shots_NJ2, settings, note, device, look)
    seconds = time.perf_counter() - began - looking
    judged_NJ2 = poses(transfer, min(sweep.samples, len(held_NJ2)))
    scores = {**judge(judged_NJ2, held_NJ2), "seconds": round(seconds, 3)}
    # Of the last tenth of the steps, because batches differ; a blend alone is fitted, without steps.
    trained = {"loss": float(np.mean(losses[-math.ceil(len(losses) / 10) :]))} if losses else {}
    return {"step": settings.steps, **trained, **scores}


def judge(judged_NJ2: np.ndarray, held_NJ2: np.ndarray) -> dict[str, float]:
    """Scores of poses against as many held-out ones.

    Raises:
        DataError: a pose is not finite.
    """
    density, coverage = density_coverage(judged_NJ2, held_NJ2, NEIGHBOURS)
    return {
        "fd": frechet_distance(judged_NJ2, held_NJ2),
        "mmd2": mmd2(judged_NJ2, held_NJ2),
        "density": density,
        "coverage": coverage,
    }


_LOCAL: dict[str, Any] = {}  # what this process has taken out of the object store: networks are unpacked once


def _local(reference: ray.ObjectRef) -> Any:
    name = reference.hex()
    if name not in _LOCAL:
        _LOCAL[name] = ray.get(reference)
    return _LOCAL[name]


def put_study(recipe: SweepRecipe, parts: Pretrained, held_NJ2: np.ndarray, shots: dict[str, np.ndarray]) -> Study:
    """Put what all trials share into the object store."""
    references = {name: ray.put(shots_NJ2) for name, shots_NJ2 in shots.items()}
    # JSON and back: what trials see is what lies on storage.
    return Study(json.loads(recipe.model_dump_json()), ray.put(parts), ray.put(held_NJ2), references)
