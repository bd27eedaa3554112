"""Blocks of poses: loaded ahead, cut and joined."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from flexpose_ray.dataset.blocks import prefetched, recut


def test_recutting_keeps_every_row():
    blocks = iter(
        [{"index": np.arange(4), "image": list(b"abcd")}, {"index": np.arange(4, 9), "image": list(b"efghi")}]
    )
    cut = list(recut(blocks, [3, 5, 1]))
    assert [part["index"].tolist() for part in cut] == [[0, 1, 2], [3, 4, 5, 6, 7], [8]]
    assert [bytes(part["image"]) for part in cut] == [b"abc", b"defgh", b"i"]


def test_prefetching_keeps_order_is_one_ahead_and_passes_errors_on():
    begun, ahead = [], threading.Event()

    def load(item: int) -> int:
        begun.append(item)
        if item == 1:
            ahead.set()
        if item == 3:
            raise ValueError("third")
        return -item

    found = prefetched(range(5), load)
    assert next(found) == (0, 0)
    assert ahead.wait(5) and begun == [0, 1]
    assert [next(found), next(found)] == [(1, -1), (2, -2)]
    with pytest.raises(ValueError, match="third"):
        next(found)
