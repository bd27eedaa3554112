"""Rows of trials: written once, read back, and listed in a table."""

from __future__ import annotations

import io

import pyarrow.parquet as pq

from flexpose_ray.engine.sweep.results import TABLE, ended_trials, read_rows, write_row, write_table
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store
from tests.engine.sweep.sweeps import made_row, made_rows


def test_a_trial_counts_once(store: Store):
    first, *others = made_rows()
    assert write_row(store, first)
    assert not write_row(store, {**first, "scores": {"fd": 9.0}})
    for row in others:
        write_row(store, row)
    store.put("trials/.note", b"not a row")
    assert ended_trials(store) == {0, 1, 2, 3}
    assert read_rows(store) == made_rows()


def test_the_table_is_plain_parquet(tmp_path):
    store = open_store(tmp_path)
    made = [
        made_row(0, {"adapt.layers": [1, 3], "adapt.lr": 1, "adapt.mixup": 5}, fd=0.5, curve=[{"step": 2, "fd": 0.7}]),
        made_row(1, {"adapt.layers": "w", "adapt.lr": 0.5, "adapt.mixup": 6}, "failed"),
    ]
    write_table(store, made)
    columns = pq.read_table(io.BytesIO(store.get(TABLE))).to_pydict()
    assert columns["adapt.layers"] == ["1+3", "w"] and columns["adapt.lr"] == [1.0, 0.5]
    assert columns["adapt.mixup"] == [5, 6] and columns["fd"] == [0.5, None]
    assert columns["status"] == ["done", "failed"] and columns["curve_fd"] == [[0.7], []]
