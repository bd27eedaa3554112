"""Starting the training workers under Ray Train, receiving their rows, and deciding what a failure means."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import ray
import ray.train
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.queue import Queue

from flexpose_ray.config import Recipe
from flexpose_ray.engine.runtime.errors import flexpose_error_within, innermost_line
from flexpose_ray.engine.runtime.signals import TERMINATED
from flexpose_ray.engine.runtime.worker_env import worker_runtime_env
from flexpose_ray.engine.train.failures import RESUME_HINT, killed_for_memory, too_many_failures
from flexpose_ray.engine.train.job import worker_threads
from flexpose_ray.engine.train.stop import StopSignal, driver_node
from flexpose_ray.engine.train.worker import STOPPED, train_worker
from flexpose_ray.errors import TrainingError
from flexpose_ray.storage.base import Store

POLL_ENV = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"  # Ray Train hands the driver's to its controller
MAX_FAILURES = 3  # lost workers or nodes without progress in between before a run gives up
GRACE_S = 25.0  # for a last checkpoint after SIGTERM; Kubernetes kills after 30
RESIZE_S = 60.0  # how often an elastic run looks for room for more workers

Progress = Callable[[dict], None]
Resources = dict[str, float]  # CPU and GPU of a worker, perhaps fractions


@dataclass(frozen=True)
class Loop:
    """What every worker of a training runs.

    Attributes:
        function: takes one dictionary: ``given``, and as ``stop`` the actor of a :class:`StopSignal`.
        given: the same for all workers.
        workers: least and most of them.
        too_many_failures: the error of a training that has lost workers again and again.
    """

    function: Callable[[dict], None]
    given: dict
    workers: tuple[int, int]
    too_many_failures: Callable[[list[BaseException]], TrainingError]


def run_workers(
    recipe: Recipe, store: Store, on_progress: Progress, resources: Resources | None = None, teacher: str | None = None
) -> None:
    """Pretrain on the Ray that runs, until the run has ended.

    Args:
        store: the run's folder.
        on_progress: takes the rows of worker 0, on a thread of its own.
        resources: of a worker; :func:`default_resources` where None.
        teacher: URI of the flow that teaches a StyleGAN; None where none does.

    Raises:
        FlexPoseError: why training cannot go on.
    """
    p = recipe.pretrain
    threads = worker_threads(p, p.worker_range[1])
    given = {"recipe": recipe.model_dump(mode="json"), "run": store.uri, "threads": threads, "teacher": teacher}
    launch(Loop(train_worker, given, p.worker_range, partial(too_many_failures, p=p)), on_progress, resources)


def launch(loop: Loop, on_progress: Progress, resources: Resources | None = None) -> None:
    """Run a training's workers on the Ray that runs, until it has ended; otherwise as :func:`run_workers`."""
    rows = Queue(actor_options={"num_cpus": 0, "scheduling_strategy": driver_node()})  # nodes with workers may be lost
    os.environ.setdefault(POLL_ENV, "0.2")  # a report waits for the next poll: two seconds by default
    stop, stopped = StopSignal(), threading.Event()
    receiver = threading.Thread(target=_receive, args=(rows, on_progress, stopped), daemon=True)
    receiver.start()
    try:
        # Ray Train wants a place for checkpoints; ours are in the run's folder, and say where to resume.
        with tempfile.TemporaryDirectory(prefix="flexpose-train-", ignore_cleanup_errors=True) as folder:
            monitor = WorkerMonitor(rows, loop.too_many_failures)
            _torch_trainer(loop, stop, resources or default_resources(), monitor, folder).fit()
    except ray.train.TrainingFailedError as error:
        raise training_error(error) from error
    except KeyboardInterrupt:
        if TERMINATED.is_set() and stop.request():
            stopped.wait(GRACE_S)
        raise
    finally:
        rows.put(None)
        receiver.join()
        rows.shutdown()


def _torch_trainer(
    loop: Loop, stop: StopSignal, resources: Resources, monitor: WorkerMonitor, folder: str
) -> TorchTrainer:
    least, most = loop.workers
    gpus = resources.get("GPU", 0)
    exclusive = gpus >= 1 or most == 1  # NCCL cannot have two workers on one GPU
    return TorchTrainer(
        loop.function,
        train_loop_config={**loop.given, "stop": stop.actor},
        torch_config=TorchConfig(backend="nccl" if gpus and exclusive else "gloo", timeout_s=3600),
        scaling_config=ray.train.ScalingConfig(
            num_workers=most if least == most else (least, most),
            use_gpu=gpus > 0,
            resources_per_worker=resources,
            elastic_resize_monitor_interval_s=RESIZE_S,
        ),
        run_config=ray.train.RunConfig(
            name=f"launch-{time.time_ns()}",
            storage_path=folder,
            failure_config=ray.train.FailureConfig(max_failures=-1),  # the monitor decides
            callbacks=[monitor],
            worker_runtime_env=worker_runtime_env(),
        ),
    )


def default_resources() -> Resources:
    """What a worker takes: a CPU, and a whole GPU where the cluster has any."""
    return {"CPU": 1, "GPU": 1} if ray.cluster_resources().get("GPU", 0) >= 1 else {"CPU": 1}


class WorkerMonitor(ray.train.UserCallback):
    """Sends worker 0's rows to the driver and judges failures; it runs where Ray Train's controller does.

    An error of ours would come again however often workers are started: raising it here ends the run. Lost workers are
    replaced, unless that has happened too often without any progress.
    """

    def __init__(self, rows: Queue, too_many_failures: Callable[[list[BaseException]], TrainingError]):
        self.rows, self.too_many_failures = rows, too_many_failures
        self.reached = -1.0  # kimg
        self.failures: list[BaseException] = []

    def after_report(self, run_context, metrics, checkpoint) -> None:
        for row in metrics:
            if row:
                self.rows.put(row)
                if row.get("kimg", -1.0) > self.reached:
                    self.reached = row["kimg"]
                    self.failures.clear()

    def after_exception(self, run_context, worker_exceptions) -> None:
        errors = list(worker_exceptions.values())
        for error in errors:
            if (ours := flexpose_error_within(error)) is not None:
                raise ours
        self.failures.append(next((error for error in errors if killed_for_memory(error)), errors[0]))
        if len(self.failures) > MAX_FAILURES:
            raise self.too_many_failures(self.failures)


def training_error(error: ray.train.TrainingFailedError) -> Exception:
    """The error of ours inside Ray's, or one that says in a line what Ray says."""
    return flexpose_error_within(error) or TrainingError("training", f"failed: {innermost_line(error)}", RESUME_HINT)


def _receive(rows: Queue, on_progress: Progress, stopped: threading.Event) -> None:
    while (row := rows.get()) is not None:
        on_progress(row)
        if STOPPED in row:
            stopped.set()
