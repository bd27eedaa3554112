"""How a training ends that cannot go on: one error of ours, out of whatever Ray and torch say."""

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

HINT = "repeat the command when that is mended: it goes on from the last checkpoint"
NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "bad_alloc",
    "out of memory",
)  # in RuntimeErrors
KILLED_FOR_MEMORY = ("running low on memory", "memory pressure")  # in Ray's obituaries


def check_losses(losses: dict[str, float], step: int, p: PretrainConfig) -> None:
    """See that a step's losses are finite.

    Raises:
        TrainingError: they are not; it names the step and the way out.
    """
    if broken := next((name for name, value in losses.items() if not math.isfinite(value)), None):
        raise diverged(f"{broken} is {losses[broken]}", step, p)


def diverged(what: str, step: int, p: PretrainConfig) -> TrainingError:
    """The end of a training whose numbers are not finite any more."""
    way_out = f"lower pretrain.lr ({p.lr:g}) or raise pretrain.r1_gamma ({p.r1_gamma:g})"
    return TrainingError(f"pretraining, step {step:,}", what, f"{way_out}; the last good checkpoint stays as it is")


@contextmanager
def memory_told(p: PretrainConfig, device: torch.device) -> Iterator[None]:
    """Turn what torch and C++ say when memory runs out into one error with the way out."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, (MemoryError, torch.OutOfMemoryError)) and not says(error, NO_MEMORY):
            raise
        raise out_of_memory(str(device), p) from error


def out_of_memory(where: str, p: PretrainConfig) -> TrainingError:
    """The end of a training that needs more memory than there is."""
    way_out = f"lower pretrain.batch ({p.batch}) or pretrain.network.base ({p.network.base}), or take more workers"
    return TrainingError(f"pretraining on {where}", "out of memory", f"{way_out}: each takes its share of the batch")


def says(error: BaseException, texts: tuple[str, ...]) -> bool:
    """Whether an error's message holds one of ``texts``."""
    return any(text in str(error).lower() for text in texts)


def killed_for_memory(error: BaseException) -> bool:
    """Whether Ray killed a worker because its node ran out of memory."""
    return any(
        isinstance(inner, ray.exceptions.OutOfMemoryError)
        or (isinstance(inner, RayError) and says(inner, KILLED_FOR_MEMORY))
        for inner in errors_within(error)
    )


def lost_again_and_again(failures: list[BaseException], p: PretrainConfig) -> TrainingError:
    """The end of a training whose workers failed time after time and got nowhere in between."""
    last = failures[-1]
    if killed_for_memory(last):
        return out_of_memory("a node that Ray keeps from running full", p)
    return TrainingError("pretraining", f"failed {len(failures)} times in a row: {innermost_line(last)}", HINT)
