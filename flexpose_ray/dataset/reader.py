"""Reading generated data sets, as arrays and as Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from flexpose_ray.dataset.blocks import Block, prefetched, take
from flexpose_ray.dataset.commits import ShardEntry
from flexpose_ray.dataset.layout import MODEL
from flexpose_ray.dataset.manifest import Manifest, read_manifest
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.dataset.shards import decode_shard, read_batch, shard_schema
from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import Skeleton, get_skeleton
from flexpose_ray.storage.base import Store, read_json

if TYPE_CHECKING:
    from flexpose_ray.pose.alpha import Alpha


class PoseReader:
    """The poses that a manifest names, by default the newest one; to see a data set's growth, open it again.

    A shard's bytes are compared with the manifest's sha256 before anything is read from them. Picklable: it holds
    an address and the manifest.

    Attributes:
        store: where the data set lies.
        manifest: the version of it that is read.
        skeleton: joints and limbs of its poses.

    Raises:
        StorageError: no published data set there, or it cannot be read.
        DataError: its manifest is damaged.
    """

    def __init__(self, store: Store, manifest: Manifest | None = None):
        self.store = store
        self.manifest = manifest or read_manifest(store)
        self.skeleton: Skeleton = get_skeleton(self.run.skeleton)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.store.uri!r}: {self.count:,} poses, {self.skeleton.name})"

    @property
    def count(self) -> int:
        """Poses in all."""
        return self.manifest.count

    @property
    def run(self) -> RunSpec:
        """What every pose depends on: generator digest, seed, shard size and so on."""
        return self.manifest.run

    @property
    def shards(self) -> tuple[ShardEntry, ...]:
        """The committed shards, in order."""
        return self.manifest.shards

    @property
    def columns(self) -> list[str]:
        """Names of the shards' columns: ``index``, ``keypoints``, ``confidence`` and perhaps ``image``."""
        return self._schema.names

    @cached_property
    def alpha(self) -> Alpha:
        """How the skeletons are drawn, in the stored pictures and for the generator."""
        from flexpose_ray.pose.alpha import Alpha  # here, so that those who draw nothing never wait for torch

        return Alpha(**self.run.alpha)

    @cached_property
    def attributions(self) -> list[str]:
        """Whose data the generator learned from, as the cards of its model say; empty where they do not."""
        keys = (f"{MODEL}/model.json", f"{MODEL}/base/model.json")
        cards = [read_json(self.store, key).get("card", {}) for key in keys if self.store.exists(key)]
        return list(dict.fromkeys(card["attribution"] for card in cards if card.get("attribution")))

    def read_shard(self, entry: ShardEntry, images: bool = True) -> Block:
        """Columns of one of :attr:`shards`, as :func:`decode_shard` returns them.

        Raises:
            DataError: other bytes than were committed.
            StorageError: the shard is missing, or storage cannot be read.
        """
        return decode_shard(entry.read_bytes(self.store), f"{self.store.uri}/{entry.shard}", images)

    def blocks(self, first: int = 0, last: int | None = None, images: bool = True) -> Iterator[Block]:
        """The poses at positions ``first`` to ``last`` (all by default), in order, a shard or a part of one at a time.

        Two shards at most are in memory: the current one and the next, which a thread reads meanwhile. Raises as
        :meth:`read_shard`.
        """
        last = self.count if last is None else min(last, self.count)
        ends = np.cumsum([entry.rows for entry in self.shards]).tolist()
        spans = [(end - entry.rows, end, entry) for end, entry in zip(ends, self.shards, strict=True)]
        spans = [span for span in spans if max(span[0], first) < min(span[1], last)]
        for (begin, _, _), block in prefetched(spans, lambda span: self.read_shard(span[2], images)):
            yield take(block, slice(max(first - begin, 0), last - begin))

    def first(self, count: int) -> np.ndarray:
        """The first ``count`` poses, or all where there are fewer: keypoints_NJ2, crop units."""
        return np.concatenate([block["keypoints"] for block in self.blocks(0, count, images=False)])

    def to_arrow(self, columns: list[str] | None = None) -> pa.Table:
        """The whole data set in memory as one table; :meth:`iter_arrow` is for those that do not fit.

        Args:
            columns: names of the wanted ones, all by default.

        Raises:
            ConfigError: no such column.
        """
        names = self.wanted_columns(columns)
        return pa.Table.from_batches(self.iter_arrow(names), pa.schema([self._schema.field(name) for name in names]))

    def iter_arrow(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The data set as record batches, one for each shard, in order; two shards at most are in memory.

        Args:
            columns: names of the wanted ones, all by default.

        Raises:
            ConfigError: no such column.
        """
        names = self.wanted_columns(columns)
        return (batch for _, batch in prefetched(self.shards, lambda entry: read_batch(self.store, entry, names)))

    def wanted_columns(self, columns: list[str] | None) -> list[str]:
        """Check ``columns``; None stands for all.

        Raises:
            ConfigError: no such column.
        """
        if unknown := set(columns or ()) - set(self.columns):
            raise ConfigError("columns", f"no column {unknown.pop()!r}", f"choose of {', '.join(self.columns)}")
        return columns or self.columns

    @cached_property
    def _schema(self) -> pa.Schema:
        return shard_schema(self.skeleton.n_joints, bool(self.run.images))
