"""The log of a data set."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from flexpose_ray.dataset.call_log import Call, log_call, read_log
from flexpose_ray.errors import DataError
from flexpose_ray.storage.base import Store


def call(poses: int) -> Call:
    return Call(poses, 1.5, 1, "cpu", 2, 0, 0)


def test_it_keeps_every_call(store: Store):
    assert read_log(store) == []
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: log_call(store, call(n)), range(4)))
    assert sorted(read_log(store), key=lambda entry: entry.poses) == [call(n) for n in range(4)]


def test_a_damaged_entry_is_named(store: Store):
    store.put("log/00001.json", b'{"poses": 3}')
    with pytest.raises(DataError, match=r"log/00001\.json: device is missing"):
        read_log(store)
