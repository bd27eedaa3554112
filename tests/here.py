"""The work of Ray's actors in the process of a test, for what is promised whoever does it.

The actors' own classes and functions are called; that Ray calls them too, and what it does when they die, is tested
where it counts. All bytes are the same, so that a test may compare what is made here with what was made under Ray.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import ray
import ray.train
import torch

from flexpose_ray.config import Recipe
from flexpose_ray.dataset.call_log import Call, log_call
from flexpose_ray.dataset.layout import ShardId
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.engine.detect import run as detection
from flexpose_ray.engine.detect import worker as detector_worker
from flexpose_ray.engine.generate import repair
from flexpose_ray.engine.generate import run as generation
from flexpose_ray.engine.generate.stages import DrawAndCommit, SampleAndCommit, SampleShard
from flexpose_ray.engine.train import run as training
from flexpose_ray.engine.train import worker
from flexpose_ray.engine.train.launch import Loop
from flexpose_ray.storage.base import Store


def render(store: Store, run: RunSpec, missing: list[ShardId], actors: int | None = None) -> Iterator[int]:
    """Like ``engine.generate.run.render``, by one sampler and one drawer."""
    began, busy_s, poses = time.monotonic(), 0.0, 0
    if run.images:
        sampler, drawer = SampleShard(store.uri, run, "cpu"), DrawAndCommit(store.uri, run)
    else:
        sampler, drawer = SampleAndCommit(store.uri, run, "cpu"), lambda done: done
    for index, rows in missing:
        done = drawer(sampler({"index": np.array([index]), "rows": np.array([rows])}))
        poses, busy_s = poses + rows, busy_s + float(done["busy_s"].sum())
        yield int(done["rows"].sum())
    seconds = round(time.monotonic() - began, 3)
    log_call(store, Call(poses, seconds, round(busy_s, 3), "cpu", 1, int(bool(run.images)), 0))


def run_workers(
    recipe: Recipe, store: Store, on_progress: Callable[[dict], None], resources: dict | None, teacher: str | None
) -> None:
    """Like ``engine.train.launch.run_workers``, as the only worker."""
    given = {"recipe": recipe.model_dump(mode="json"), "run": store.uri, "threads": 1, "teacher": teacher}
    launch(Loop(worker.train_worker, given, (1, 1), None), on_progress)


def launch(loop: Loop, on_progress: Callable[[dict], None], resources: dict | None = None, threads: int = 1) -> None:
    """Like ``engine.train.launch.launch``, as the only worker."""
    context = SimpleNamespace(get_world_rank=lambda: 0, get_world_size=lambda: 1)
    nobody = SimpleNamespace(wait=SimpleNamespace(remote=object))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ray.train, "get_context", lambda: context)
        patch.setattr(ray.train, "report", lambda row: on_progress(row) if row else None)
        patch.setattr(ray, "wait", lambda waiting, timeout=None: ([], waiting))  # nobody asks to leave
        for module in (worker, detector_worker):
            patch.setattr(module, "get_device", lambda: torch.device("cpu"))
        loop.function({**loop.given, "threads": threads, "stop": nobody})


@contextmanager
def without_ray(threads: int = 1) -> Iterator[None]:
    """Within the block, `generate`, `repair`, `pretrain` and `detect train` do their work in this process.

    Args:
        threads: of trainings on pictures; last bits depend on their number.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generation, "render", render)
        patch.setattr(repair, "render", render)
        patch.setattr(training, "run_workers", run_workers)
        patch.setattr(detection, "launch", partial(launch, threads=threads))
        for module in (training, detection):
            patch.setattr(module, "ray_session", nullcontext)
        yield
