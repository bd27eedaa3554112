"""What a training step takes: seconds, FLOPs and memory, by running some."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Within the block torch has so many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds_of(work: Callable[[], object], times: int) -> float:
    """Median seconds of ``work``, after a first time that warms up."""
    taken = []
    for _ in range(times + 1):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return median(taken[1:])


def flops_of(work: Callable[[], object]) -> float:
    """FLOPs of ``work``, by torch's own formulas."""
    with _FlopCounter() as counter:
        work()
    return counter.total


class _FlopCounter(TorchDispatchMode):
    """Sums up FLOPs by torch's own formulas. Torch's FlopCounterMode also follows modules, which gradients with respect
    to images, as R1 takes them, do not survive."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        if (formula := flop_registry.get(function._overloadpacket)) is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def memory_of(step: Callable[[], object], fixed: list[torch.Tensor], device: torch.device) -> int:
    """Memory that a device needs for a training step, bytes: on a GPU the most that ``step`` has allocated; on a CPU
    ``fixed``, and what the step keeps for its backward passes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        return torch.cuda.max_memory_allocated(device)
    most, alive = 0, {}

    def pack(tensor: torch.Tensor) -> _SavedTensor:
        nonlocal most
        saved = _SavedTensor(tensor, alive)
        most = max(most, sum(size for size, _ in alive.values()))
        return saved

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        step()
    return most + sum(t.numel() * t.element_size() for t in fixed)


class _SavedTensor:
    """A tensor that a backward pass waits for; ``alive`` counts each block of memory once, as long as one holds it."""

    def __init__(self, tensor: torch.Tensor, alive: dict[int, tuple[int, int]]):
        self.tensor, self.alive = tensor, alive
        block = tensor.untyped_storage()
        self.address = block.data_ptr()
        _, holders = alive.get(self.address, (0, 0))
        alive[self.address] = block.nbytes(), holders + 1

    def __del__(self):
        size, holders = self.alive[self.address]
        if holders == 1:
            del self.alive[self.address]
        else:
            self.alive[self.address] = size, holders - 1
