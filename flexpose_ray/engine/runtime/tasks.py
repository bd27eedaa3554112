"""Many independent pieces of work, each as a Ray task."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ray
import torch
from ray.exceptions import RayError

from flexpose_ray.engine.runtime.metrics import TASKS
from flexpose_ray.engine.runtime.worker_env import worker_runtime_env
from flexpose_ray.errors import ConfigError, FlexPoseError
from flexpose_ray.storage.base import Store

PER_GPU = 4  # tasks that share a GPU: the networks are small
RETRIES = 3  # of a task whose worker or node dies
READERS = 16  # threads of a driver that looks up what is done already; they wait for storage, mostly
SHARED_FOLDER_HINT = "a folder has to be one that all nodes of the cluster share; use s3:// otherwise"

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


def check_workers(workers: int | None) -> None:
    """Check a number of tasks at a time.

    Raises:
        ConfigError: it is less than 1.
    """
    if workers is not None and workers < 1:
        raise ConfigError("workers", f"{workers} is less than 1", "give a positive number")


def task_device() -> str:
    """Where the networks of this task run; on a CPU with one torch thread, because every core has a task of its own."""
    torch.set_num_threads(1)
    return "cuda" if ray.get_gpu_ids() else "cpu"


def task_result(reference: ray.ObjectRef, store: Store, key: str, failed: Callable[[str], dict]) -> dict:
    """The result of a task that writes ``key`` into ``store``, unless its ``error`` is set.

    Args:
        failed: makes the result of a task that Ray lost, or whose file cannot be seen from here, of the reason.
    """
    try:
        result = ray.get(reference)
    except RayError as error:
        return failed(why_lost(error))
    if result["error"] is None and not store.exists(key):
        return failed(f"{store.uri}/{key} was written by a worker but is not visible here ({SHARED_FOLDER_HINT})")
    return result


def why_lost(error: Exception) -> str:
    """Why Ray could not complete a task, in a line."""
    reason = str(error).strip().splitlines()[0]
    return f"its worker died {RETRIES + 1} times, perhaps for lack of memory: {reason}"


def error_line(error: Exception) -> str:
    """An error within a task as one line; one that is not ours with its type."""
    text = str(error) if isinstance(error, FlexPoseError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())
