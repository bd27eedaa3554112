"""Data sets as Ray Data sees them: a row is a shard, which is read and checked where it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import ray.data

from flexpose_ray.dataset.commits import ShardEntry
from flexpose_ray.dataset.shards import read_batch
from flexpose_ray.storage.open import open_store

MOST_BLOCKS = 2000  # parts that a list of shards is cut into; a worker takes one at a time
PATIENCE_S = 120.0  # how long a worker outlasts a storage server that is away


def shard_rows(rows: list[dict[str, Any]]) -> ray.data.Dataset:
    """A Ray Data dataset with one row for every shard."""
    return ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))


def ray_dataset(uri: str, shards: Sequence[ShardEntry], columns: list[str]) -> ray.data.Dataset:
    """The ``columns`` of committed shards of the data set at ``uri``, as a Ray Data dataset of plain Arrow columns."""
    names = ("index", "rows", "shard", "sha256", "bytes")  # not the stats, whose keys differ from shard to shard
    rows = [{name: getattr(entry, name) for name in names} for entry in shards]
    arguments = {"uri": uri, "columns": columns}
    return shard_rows(rows).map_batches(_read, batch_size=1, batch_format="pyarrow", fn_kwargs=arguments)


def _read(rows: pa.Table, uri: str, columns: list[str]) -> pa.Table:
    (row,) = rows.to_pylist()
    return pa.Table.from_batches([read_batch(open_store(uri, PATIENCE_S), ShardEntry(**row, stats={}), columns)])
