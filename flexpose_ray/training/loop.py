"""The training loop of every method: steps with progress, and Adam down a loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

import torch

OnStep = Callable[[dict], None]  # takes step, steps, loss, steps_s


def run_steps(step: Callable[[int], float], steps: int, on_step: OnStep) -> None:
    """Run ``steps`` training steps and report after each.

    Args:
        step: does one step, given its number from 0, and returns its loss.
        steps: how many.
        on_step: takes ``step`` (from 1), ``steps``, ``loss`` and ``steps_s``, the steps a second so far.
    """
    start = time.perf_counter()
    for number in range(steps):
        loss = step(number)
        rate = (number + 1) / (time.perf_counter() - start)
        on_step({"step": number + 1, "steps": steps, "loss": loss, "steps_s": rate})


def minimise(
    loss_of_step: Callable[[int], torch.Tensor],
    parameters: Iterable[torch.nn.Parameter] | list[dict[str, Any]],
    lr: float,
    steps: int,
    on_step: OnStep,
) -> None:
    """Minimise a loss by Adam, in place; the learning rate falls to 0 along a cosine.

    Args:
        loss_of_step: the loss of a step, given its number from 0.
        parameters: what is trained, or Adam's groups of them, which may have an ``lr`` of their own.
        lr: the learning rate at the start.
        steps, on_step: as in :func:`run_steps`.
    """
    if not steps:
        return
    optimizer = torch.optim.Adam(parameters, lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    def step(number: int) -> float:
        loss = loss_of_step(number)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        return loss.item()

    run_steps(step, steps, on_step)
