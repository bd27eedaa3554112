"""Generated data sets as ``flexpose_ray.open_dataset`` returns them: with loaders for torch and Ray Data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from flexpose_ray.dataset.commits import ShardEntry
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.shards import read_batch
from flexpose_ray.storage.open import open_store

if TYPE_CHECKING:
    import ray.data

    from flexpose_ray.dataset.torch_batches import PoseBatches

MOST_BLOCKS = 2000  # parts that a list of shards is cut into; a worker takes one at a time
PATIENCE_S = 120.0  # how long a worker outlasts a storage server that is away


class PoseDataset(PoseReader):
    """A generated data set that feeds trainers."""

    def to_torch(
        self,
        batch: int = 256,
        *,
        shuffle: bool = True,
        seed: int = 0,
        images: bool = False,
        rank: int | None = None,
        world: int | None = None,
    ) -> PoseBatches:
        """Batches for a trainer, as a ``torch.utils.data.IterableDataset``.

        ::

            poses = flexpose_ray.open_dataset("s3://bucket/rowers")
            batches = poses.to_torch(batch=512, seed=0)
            loader = DataLoader(batches, batch_size=None, num_workers=4, pin_memory=True)
            for epoch in range(10):
                batches.set_epoch(epoch)
                for part in loader:
                    keypoints_NJ2 = part["keypoints"].to("cuda", non_blocking=True)
                    images_NCHW = poses.alpha.draw(keypoints_NJ2)  # on the GPU; only keypoints were sent there

        Args:
            batch: poses in a batch.
            shuffle: whether seed and epoch decide the order of the shards, and of the poses in each; False keeps the
                stored order.
            seed: of the shuffling.
            images: whether to decode the stored pictures too.
            rank, world: number of this process, and how many share the poses; by default those of
                ``torch.distributed`` where it is initialised by now, else one process takes all.

        Raises:
            ConfigError: an argument out of range, or pictures are asked for but not stored.
        """
        from flexpose_ray.dataset.torch_batches import BatchPlan, PoseBatches  # here: other readers need no torch

        return PoseBatches(self, BatchPlan(batch, shuffle, seed, images), rank, world)

    def to_ray(self, columns: list[str] | None = None) -> ray.data.Dataset:
        """The poses as a Ray Data dataset of plain Arrow columns; every shard is read and checked where it is used.

        Rows come in any order, and ``index`` identifies them. ``iter_torch_batches`` gives keypoints as (N, 2J):
        reshape them to (N, J, 2), and leave out the column ``image``, since encoded pictures are not tensors. Runs in
        the Ray that was started, or in one that Ray Data starts.

        Args:
            columns: names of the wanted ones, all by default.

        Raises:
            ConfigError: no such column.
        """
        wanted = self.wanted_columns(columns)
        names = ("index", "rows", "shard", "sha256", "bytes")  # not the stats, whose keys differ from shard to shard
        shards = shard_rows([{name: getattr(entry, name) for name in names} for entry in self.shards])
        arguments = {"uri": self.store.uri, "columns": wanted}
        return shards.map_batches(_read, batch_size=1, batch_format="pyarrow", fn_kwargs=arguments)


def shard_rows(rows: list[dict[str, Any]]) -> ray.data.Dataset:
    """A Ray Data dataset with one row for every shard."""
    import ray.data  # here, since reading without a cluster needs no Ray

    return ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS))


def _read(rows: pa.Table, uri: str, columns: list[str]) -> pa.Table:
    (row,) = rows.to_pylist()
    return pa.Table.from_batches([read_batch(open_store(uri, PATIENCE_S), ShardEntry(**row, stats={}), columns)])
