"""Generated data sets, read back: as arrays, as Arrow, as batches for a trainer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.dataset.manifest import MODEL, read_manifest
from flexpose_ray.dataset.shards import decode_shard, shard_schema
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.skeleton import Skeleton, get_skeleton
from flexpose_ray.storage.base import Store, read_json

S, T = TypeVar("S"), TypeVar("T")
Block = dict[str, np.ndarray | list[bytes]]  # columns of consecutive poses, as decode_shard gives them


class PoseReader:
    """What the newest manifest names at the time of opening; to see a data set's growth, open it again.

    A shard's bytes are compared with the manifest's sha256 before anything is read from them. Picklable: it holds
    an address and the manifest.

    Attributes:
        store: where the data set lies.
        manifest: as :func:`read_manifest` returns it.
        skeleton: joints and limbs of its poses.

    Raises:
        StorageError: no published data set there, or it cannot be read.
        DataError: its skeleton is not told.
    """

    def __init__(self, store: Store):
        self.store, self.manifest = store, read_manifest(store)
        if "skeleton" not in self.run:
            raise DataError(store.uri, "the manifest names no skeleton", "generate the data set again")
        self.skeleton: Skeleton = get_skeleton(self.run["skeleton"])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.store.uri!r}: {self.count:,} poses, {self.skeleton.name})"

    @property
    def count(self) -> int:
        """Poses in all."""
        return self.manifest["count"]

    @property
    def run(self) -> dict[str, Any]:
        """What every pose depends on: generator digest, seed, shard size and so on."""
        return self.manifest["run"]

    @property
    def shards(self) -> list[dict[str, Any]]:
        """The shards' commits in order: ``index``, ``rows``, ``shard`` (its key), ``sha256``, ``bytes``, ``stats``."""
        return self.manifest["shards"]

    @property
    def columns(self) -> list[str]:
        """Names of the shards' columns: ``index``, ``keypoints``, ``confidence`` and perhaps ``image``."""
        return self._schema.names

    @cached_property
    def alpha(self) -> Alpha:
        """How the skeletons were drawn: in the stored pictures, else for the generator, else by default."""
        configs = [self.run.get("alpha"), *(head.get("config", {}).get("alpha") for head in self._model_heads)]
        return Alpha(**next((config for config in configs if config), {"skeleton_name": self.skeleton.name}))

    @cached_property
    def attributions(self) -> list[str]:
        """Whose data the generator learned from, as its model's cards say; empty where they do not."""
        told = [head.get("card", {}).get("attribution") for head in self._model_heads]
        return list(dict.fromkeys(text for text in told if text))

    def read_shard(self, entry: dict[str, Any], images: bool = True) -> Block:
        """Columns of one of :attr:`shards`, as :func:`decode_shard` gives them; errors as :func:`read_bytes`."""
        return decode_shard(read_bytes(self.store, entry), f"{self.store.uri}/{entry['shard']}", images)

    def blocks(self, first: int = 0, last: int | None = None, images: bool = True) -> Iterator[Block]:
        """The poses at positions ``first`` to ``last`` (all by default), in order, a shard or a part of one at a time.

        Two shards at most are in memory: the one at hand and the next, which a thread reads meanwhile.
        """
        last = self.count if last is None else min(last, self.count)
        ends = np.cumsum([entry["rows"] for entry in self.shards]).tolist()
        spans = [(end - entry["rows"], end, entry) for end, entry in zip(ends, self.shards, strict=True)]
        spans = [span for span in spans if max(span[0], first) < min(span[1], last)]
        for (begin, _, _), block in prefetched(spans, lambda span: self.read_shard(span[2], images)):
            yield take(block, slice(max(first - begin, 0), last - begin))

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """The whole data set in memory as one table; :meth:`iter_arrow` is for those that do not fit.

        Args:
            columns: names of those wanted, all by default.

        Raises:
            ConfigError: no such column.
        """
        names = self._wanted(columns)
        return pa.Table.from_batches(self.iter_arrow(names), pa.schema([self._schema.field(name) for name in names]))

    def iter_arrow(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The data set as record batches, one a shard, in order; two shards at most are in memory.

        Args:
            columns: names of those wanted, all by default.

        Raises:
            ConfigError: no such column.
        """
        names = self._wanted(columns)
        return (batch for _, batch in prefetched(self.shards, lambda entry: read_batch(self.store, entry, names)))

    def first(self, count: int) -> np.ndarray:
        """The first ``count`` poses, or all where there are fewer: keypoints_NJ2, crop units."""
        return np.concatenate([block["keypoints"] for block in self.blocks(0, count, images=False)])

    @cached_property
    def _schema(self) -> pa.Schema:
        return shard_schema(self.skeleton.n_joints, bool(self.run.get("images")))

    @cached_property
    def _model_heads(self) -> list[dict[str, Any]]:
        """``model.json`` of the generator and of its base, as far as the data set holds them."""
        keys = (f"{MODEL}/model.json", f"{MODEL}/base/model.json")
        return [read_json(self.store, key) for key in keys if self.store.exists(key)]

    def _wanted(self, columns: list[str] | None) -> list[str]:
        if unknown := set(columns or ()) - set(self.columns):
            raise ConfigError("columns", f"none is called {unknown.pop()!r}", f"choose of {', '.join(self.columns)}")
        return columns or self.columns


def read_bytes(store: Store, entry: dict[str, Any]) -> bytes:
    """A shard's Parquet bytes, by its entry in the manifest.

    Raises:
        DataError: other bytes than were committed.
        StorageError: the shard is missing, or storage cannot be read.
    """
    data, where = store.get(entry["shard"]), f"{store.uri}/{entry['shard']}"
    if hashlib.sha256(data).hexdigest() != entry["sha256"]:
        raise DataError(where, "other bytes than were committed", f"run `flexpose repair {store.uri}`")
    return data


def read_batch(store: Store, entry: dict[str, Any], columns: list[str]) -> pa.RecordBatch:
    """A shard in Arrow's form; errors as :func:`read_bytes`."""
    file = pq.ParquetFile(pa.BufferReader(read_bytes(store, entry)))
    return file.read(columns, use_threads=False).combine_chunks().to_batches()[0]


def take(block: Block, rows: slice | np.ndarray) -> Block:
    """Some poses of a block, in the order of ``rows``."""
    if isinstance(rows, slice):
        return {name: column[rows] for name, column in block.items()}
    return {
        name: column[rows] if isinstance(column, np.ndarray) else [column[row] for row in rows]
        for name, column in block.items()
    }


def prefetched(items: Iterable[S], load: Callable[[S], T]) -> Iterator[tuple[S, T]]:
    """Every item with what ``load`` makes of it, in order; a thread loads the next one meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        waiting = None
        for item in items:
            loading = item, pool.submit(load, item)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = loading
        if waiting:
            yield waiting[0], waiting[1].result()
