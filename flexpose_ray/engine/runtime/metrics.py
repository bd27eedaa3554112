"""What the engine counts for Prometheus, and who counts it.

Ray exports these at every node's metrics port with ``ray_`` in front of the name and with labels of its own
(SessionName, NodeAddress, WorkerId). A worker hands its counts to its node every ten seconds and when it ends; SIGKILL
loses the last. A gauge is shown for twenty seconds after it was set. Outside Ray, and where Ray collects no metrics,
recording does nothing. Record once a shard, report or task, never a pose.

No value of a tag is an address or anything of the user's but a recipe's name: whoever reaches the port can read it.
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
    """One metric; Ray's part of it is made in every process that records it, at the first time.

    Attributes:
        name: without Ray's prefix; a counter's ends with ``_total``.
        unit: of its values.
        tags: keys that every record has to give.
        bounds: upper ends of a histogram's buckets but the last.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    tags: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def exported(self) -> tuple[str, ...]:
        """Names of its time series in Prometheus."""
        ends = ("_bucket", "_sum", "_count") if self.kind == "histogram" else ("",)
        return tuple(f"ray_{self.name}{end}" for end in ends)

    def record(self, value: float, **tags: str) -> None:
        """Add to a counter, set a gauge, or take an observation.

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
        elif value > 0:  # Ray takes nothing else
            self._of_ray.inc(value, tags)

    @cached_property
    def _of_ray(self) -> Any:
        if self.kind == "histogram":
            return ray_metrics.Histogram(self.name, self.help, list(self.bounds), self.tags)
        made = ray_metrics.Gauge if self.kind == "gauge" else ray_metrics.Counter
        return made(self.name, self.help, self.tags)


POSES = Metric("flexpose_poses_total", "counter", "poses", "Poses in committed shards.")
SHARDS = Metric("flexpose_shards_committed_total", "counter", "shards", "Shards committed to storage.")
REJECTS = Metric(
    "flexpose_rejects_total", "counter", "poses", "Poses that the gate took for implausible.", tags=("reason",)
)
QUEUE_WAIT = Metric(
    "flexpose_queue_wait_seconds",
    "histogram",
    "s",
    "What an actor waited for its next shard.",
    tags=("stage",),
    bounds=(0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300),
)
BUSY = Metric(
    "flexpose_busy_seconds_total",
    "counter",
    "s",
    "Seconds that workers spent at a stage (sample, draw, commit, train); their rate is how many are at it.",
    tags=("stage", "device"),
)
GPU = Metric(
    "flexpose_gpu_seconds_total",
    "counter",
    "s",
    "Seconds at a stage times the share of a GPU that the worker has; their rate is how many GPUs are at it.",
    tags=("stage",),
)
KIMG = Metric("flexpose_kimg", "gauge", "kimg", "Thousands of images that a pretraining has seen.", tags=("run",))
KIMG_RATE = Metric(
    "flexpose_kimg_per_second",
    "gauge",
    "kimg/s",
    "Speed of a pretraining, all workers together, at its last report.",
    tags=("run",),
)
TASKS = Metric(
    "flexpose_tasks_total", "counter", "tasks", "Tasks that ended, well or not: targets, cells, trials.", tags=("kind",)
)
METRICS = (POSES, SHARDS, REJECTS, QUEUE_WAIT, BUSY, GPU, KIMG, KIMG_RATE, TASKS)


def record_shard(stats: dict[str, Any]) -> None:
    """Count a committed shard by the ``rows`` and ``rejects`` of its commit; rendered again, it counts again."""
    SHARDS.record(1)
    POSES.record(stats["rows"])
    for reason, count in stats.get("rejects", {}).items():
        REJECTS.record(count, reason=reason)


def record_work(stage: str, seconds: float, device: str = "cpu") -> None:
    """Count seconds of an actor's work at a stage on "cpu" or "cuda"."""
    BUSY.record(seconds, stage=stage, device=device)
    if device == "cuda" and ray.is_initialized() and (actor := ray.get_runtime_context()).get_actor_id():
        GPU.record(seconds * actor.get_assigned_resources().get("GPU", 0), stage=stage)


@contextmanager
def working(stage: str) -> Iterator[None]:
    """Count the block as work at a stage on the CPU."""
    began = time.monotonic()
    yield
    record_work(stage, time.monotonic() - began)
