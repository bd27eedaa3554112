"""Metrics of the engine for Prometheus.

Ray exports them at every node's metrics port, with ``ray_`` in front of the name and labels of its own (SessionName,
NodeAddress, WorkerId). A worker sends its counts to its node every ten seconds and when it ends; SIGKILL loses the
last. A gauge is shown for twenty seconds after it was set. Outside Ray, and where Ray collects no metrics, recording
does nothing. Record once per shard, report or task, never per pose.

The value of a tag is never an address, nor anything of the user's except a recipe's name: whoever reaches the port can
read it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import ray
from ray.util import metrics as ray_metrics


@dataclass(frozen=True)
class Metric:
    """A metric. Ray's part of it is made in every process that records it, on first use.

    Attributes:
        name: without Ray's prefix; a counter's ends with ``_total``.
        unit: of its values.
        tags: keys of the values that every record gives.
        bounds: upper ends of a histogram's buckets, except the last.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """Names of the metric's time series in Prometheus."""
        ends = ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return tuple(f"ray_{self.name}{end}" for end in ends)

    def record(self, value: float, **tags: str) -> None:
        """Add to a counter, set a gauge, or add an observation to a histogram.

        Raises:
            ValueError: a tag is missing or unknown.
        """
        if tags.keys() != set(self.tags):
            raise ValueError(f"{self.name} takes tags {self.tags}, not {tuple(tags)}")
        if not ray.is_initialized():
            return
        if self.kind == "gauge":
            self._of_ray.set(value, tags)
        elif self.kind == "histogram":
            self._of_ray.observe(value, tags)
        elif value > 0:  # Ray accepts nothing else
            self._of_ray.inc(value, tags)

    @cached_property
    def _of_ray(self) -> Any:
        if self.kind == "histogram":
            return ray_metrics.Histogram(self.name, self.help, list(self.bounds), self.tags)
        kind = ray_metrics.Gauge if self.kind == "gauge" else ray_metrics.Counter
        return kind(self.name, self.help, self.tags)


POSES = Metric("flexpose_poses_total", "counter", "poses", "Poses in committed shards.")
SHARDS = Metric("flexpose_shards_committed_total", "counter", "shards", "Shards committed to storage.")
REJECTS = Metric(
    "flexpose_rejects_total", "counter", "poses", "Poses that the gate found implausible.", tags=("reason",)
)
QUEUE_WAIT = Metric(
    "flexpose_queue_wait_seconds",
    "histogram",
    "s",
    "Seconds that an actor waited for its next shard.",
    tags=("stage",),
    bounds=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
BUSY = Metric(
    "flexpose_busy_seconds_total",
    "counter",
    "s",
    "Seconds that workers spent in a stage (sample, draw, commit, train); their rate is the number of busy workers.",
    tags=("stage", "device"),
)
GPU = Metric(
    "flexpose_gpu_seconds_total",
    "counter",
    "s",
    "Seconds in a stage times the worker's share of a GPU; their rate is the number of busy GPUs.",
    tags=("stage",),
)
KIMG = Metric("flexpose_kimg", "gauge", "kimg", "Thousands of images that a training has seen.", tags=("run",))
KIMG_RATE = Metric(
    "flexpose_kimg_per_second",
    "gauge",
    "kimg/s",
    "Speed of a training, all workers together, at its last report.",
    tags=("run",),
)
TASKS = Metric(
    "flexpose_tasks_total",
    "counter",
    "tasks",
    "Tasks that ended, successfully or not: targets, cells, trials.",
    tags=("kind",),
)
METRICS = (POSES, SHARDS, REJECTS, QUEUE_WAIT, BUSY, GPU, KIMG, KIMG_RATE, TASKS)


def record_shard(stats: dict[str, Any]) -> None:
    """Count a committed shard by the ``rows`` and ``rejects`` of its commit, once more when it is rendered again."""
    SHARDS.record(1)
    POSES.record(stats["rows"])
    for reason, count in stats.get("rejects", {}).items():
        REJECTS.record(count, reason=reason)


def record_work(stage: str, seconds: float, device: str = "cpu") -> None:
    """Count an actor's seconds of work in a stage; ``device`` is "cpu" or "cuda"."""
    BUSY.record(seconds, stage=stage, device=device)
    if device == "cuda" and ray.is_initialized() and (actor := ray.get_runtime_context()).get_actor_id():
        GPU.record(seconds * actor.get_assigned_resources().get("GPU", 0), stage=stage)


@contextmanager
def working(stage: str) -> Iterator[None]:
    """Count the block as work in a stage on the CPU."""
    began = time.monotonic()
    yield
    record_work(stage, time.monotonic() - began)
