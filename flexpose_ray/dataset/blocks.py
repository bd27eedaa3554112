"""Blocks: columns of consecutive poses in memory, cut, joined and loaded ahead."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

S, T = TypeVar("S"), TypeVar("T")
Block = dict[str, np.ndarray | list[bytes]]  # columns of consecutive poses, as decode_shard returns them


def take(block: Block, rows: slice | np.ndarray) -> Block:
    """Some poses of a block, in the order of ``rows``."""
    if isinstance(rows, slice):
        return {name: column[rows] for name, column in block.items()}
    return {
        name: column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]
        for name, column in block.items()
    }


def recut(blocks: Iterator[Block], sizes: list[int]) -> Iterator[Block]:
    """Join consecutive blocks and cut them to ``sizes`` poses."""
    block, at, have = {}, 0, 0
    for size in sizes:
        parts = []
        while size:
            if at == have:
                block, at = next(blocks), 0
                have = len(block["index"])
            parts.append(take(block, slice(at, min(at + size, have))))
            at, size = at + len(parts[-1]["index"]), size - len(parts[-1]["index"])
        yield {name: _join([part[name] for part in parts]) for name in block}


def prefetched(items: Iterable[S], load: Callable[[S], T]) -> Iterator[tuple[S, T]]:
    """Every item with what ``load`` returns for it, in order; a thread loads the next one meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for item in items:
            loading = item, pool.submit(load, item)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = loading
        if waiting:
            yield waiting[0], waiting[1].result()


def _join(parts: list) -> np.ndarray | list[bytes]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else list(itertools.chain(*parts))
