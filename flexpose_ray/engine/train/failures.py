"""How a training ends that cannot go on: one error of ours, made of whatever Ray and torch raise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import torch
from ray.exceptions import RayError

from flexpose_ray.config import PretrainConfig
from flexpose_ray.engine.runtime.errors import errors_within, innermost_line
from flexpose_ray.errors import TrainingError

RESUME_HINT = "repeat the command once the cause is fixed: training resumes from the last checkpoint"
NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "out of memory",
)  # in RuntimeErrors
KILLED_FOR_MEMORY = ("running low on memory", "memory pressure")  # in Ray's reports of dead workers


def check_losses(losses: dict[str, float], step: int, p: PretrainConfig) -> None:
    """Check that a step's losses are finite.

    Raises:
        TrainingError: they are not; it names the step and the settings to change.
    """
    if broken := next((name for name, value in losses.items() if not math.isfinite(value)), None):
        raise diverged(f"{broken} is {losses[broken]}", step, p)


def diverged(what: str, step: int, p: PretrainConfig) -> TrainingError:
    """The error of a training whose numbers are not finite any more."""
    way_out = f"lower pretrain.lr ({p.lr:g}) or raise pretrain.r1_gamma ({p.r1_gamma:g})"
    return TrainingError(f"pretraining, step {step:,}", what, f"{way_out}; the last good checkpoint is kept")


@contextmanager
def memory_errors_explained(p: PretrainConfig, device: torch.device) -> Iterator[None]:
    """Turn what torch and C++ raise when memory runs out into one error that names the settings to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not mentions(error, NO_MEMORY):
            raise
        raise out_of_memory(str(device), p) from error


def out_of_memory(where: str, p: PretrainConfig) -> TrainingError:
    """The error of a training that needs more memory than there is."""
    way_out = f"lower pretrain.batch ({p.batch}) or pretrain.network.base ({p.network.base}), or use more workers"
    return TrainingError(f"pretraining on {where}", "out of memory", f"{way_out}: each takes its share of the batch")


def mentions(error: BaseException, texts: tuple[str, ...]) -> bool:
    """Whether an error's message holds one of ``texts``."""
    return any(text in str(error).lower() for text in texts)


def killed_for_memory(error: BaseException) -> bool:
    """Whether Ray killed a worker because its node ran out of memory."""
    return any(
        isinstance(inner, ray.exceptions.OutOfMemoryError)
        or (isinstance(inner, RayError) and mentions(inner, KILLED_FOR_MEMORY))
        for inner in errors_within(error)
    )


def too_many_failures(failures: list[BaseException], p: PretrainConfig) -> TrainingError:
    """The error of a training whose workers failed time after time without any progress in between."""
    last = failures[-1]
    if killed_for_memory(last):
        return out_of_memory("a node that Ray keeps from running full", p)
    return TrainingError("pretraining", f"failed {len(failures)} times in a row: {innermost_line(last)}", RESUME_HINT)
