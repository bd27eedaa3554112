"""Many independent pieces of work, each as a Ray task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ray

from flexpose_ray.engine.runtime.memory import KEEP_ENV
from flexpose_ray.engine.runtime.metrics import TASKS

PER_GPU = 4  # tasks that share a GPU: the networks are small
RETRIES = 3  # of a task whose worker or node dies

Job = TypeVar("Job")


def run_tasks(
    function: Callable[..., Any], jobs: list[tuple[Job, tuple]], at_once: int | None = None
) -> Iterator[tuple[Job, ray.ObjectRef]]:
    """Run ``function(*arguments)`` for every (job, arguments), each on a core and a share of a GPU if there are any.

    Args:
        function: what to run; module-level.
        jobs: what to call each result, and the arguments that lead to it.
        at_once: tasks at a time; by default all, so that a cluster that can grow does.

    Yields:
        Every job with the reference of its result, as they end; getting it may raise. Closing the iterator cancels the
        tasks that still run.
    """
    gpus = ray.cluster_resources().get("GPU", 0)
    resources = {"num_cpus": 1, "num_gpus": 1 / PER_GPU if gpus else 0, "max_retries": RETRIES}
    environment = {"env_vars": {**KEEP_ENV, "OMP_NUM_THREADS": "1"}}
    task = ray.remote(function).options(**resources, runtime_env=environment)
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
    """Why Ray could not complete a task, in a line."""
    reason = str(error).strip().splitlines()[0]
    return f"its worker died {RETRIES + 1} times, perhaps for lack of memory: {reason}"
