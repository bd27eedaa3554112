"""Many independent pieces of work, a Ray task each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ray

from flexpose_ray.engine.runtime.metrics import TASKS
from flexpose_ray.engine.runtime.worker_env import worker_runtime_env

PER_GPU = 4  # tasks that share a GPU: the networks are small
RETRIES = 3  # of a task whose worker or node dies

Job = TypeVar("Job")


def run_tasks(
    function: Callable[..., Any], jobs: list[tuple[Job, tuple]], at_once: int | None = None
) -> Iterator[tuple[Job, ray.ObjectRef]]:
    """Run ``function(*arguments)`` for every (job, arguments), a core each and a share of a GPU where there are any.

    Without ``at_once`` all are asked for at once, so that a cluster that can grow does. What still runs is cancelled
    when the iterator is closed.

    Yields:
        Every job with the reference of its result, as they end; getting it may raise.
    """
    gpus = ray.cluster_resources().get("GPU", 0)
    resources = {"num_cpus": 1, "num_gpus": 1 / PER_GPU if gpus else 0, "max_retries": RETRIES}
    task = ray.remote(function).options(**resources, runtime_env=worker_runtime_env())
    waiting, running = jobs[::-1], {}
    try:
        while waiting or running:
            while waiting and len(running) < (at_once or len(jobs)):
                job, arguments = waiting.pop()
                running[task.remote(*arguments)] = job
            (done,), _ = ray.wait(list(running))
            TASKS.record(1, kind=function.__name__.strip("_"))
            yield running.pop(done), done
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def why_lost(error: Exception) -> str:
    """What is told of a task that Ray could not bring to an end."""
    reason = str(error).strip().splitlines()[0]
    return f"its worker died {RETRIES + 1} times, perhaps for want of memory: {reason}"
