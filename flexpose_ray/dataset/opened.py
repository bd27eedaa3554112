"""Generated data sets as users open them: all that a reader can, and batches for torch and Ray Data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from flexpose_ray.dataset.reader import PoseReader, read_batch
from flexpose_ray.storage.open import open_store

if TYPE_CHECKING:
    import ray.data

    from flexpose_ray.dataset.torch_batches import PoseBatches

MOST_BLOCKS = 2000  # parts that the list of shards is cut into
PATIENCE_S = 120.0  # how long a worker outlasts a storage server that is away


class PoseDataset(PoseReader):
    """A generated data set."""

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
                    images_NCHW = poses.alpha.draw(keypoints_NJ2)  # on the GPU; nothing but keypoints was sent there

        Args:
            batch: poses a batch.
            shuffle: order of the shards, and of the poses in each, by seed and epoch; False keeps the stored order.
            seed: of the shuffling.
            images: decode the stored pictures too.
            rank, world: which part of how many this process takes; from ``torch.distributed`` where that is
                initialised by now, else all.

        Raises:
            ConfigError: an argument out of range, or pictures asked for that are not stored.
        """
        from flexpose_ray.dataset.torch_batches import PoseBatches  # here, so that other readers never wait for torch

        return PoseBatches(self, batch, shuffle, seed, images, rank, world)

    def to_ray(self, columns: list[str] | None = None) -> ray.data.Dataset:
        """The poses as a Ray Data dataset of plain Arrow columns; every shard is read and checked where it is used.

        Rows come in any order; ``index`` tells which is which. ``iter_torch_batches`` gives keypoints as (N, 2J):
        reshape them to (N, J, 2), and leave out the column ``image``, whose encoded pictures are no tensor. Runs in
        the Ray that was started, or in one that Ray Data starts.

        Args:
            columns: names of those wanted, all by default.

        Raises:
            ConfigError: no such column.
        """
        import ray.data  # here, so that those who read without a cluster do not wait for Ray

        names = self._wanted(columns)
        entries = [{"shard": entry["shard"], "sha256": entry["sha256"]} for entry in self.shards]
        shards = ray.data.from_items(entries, override_num_blocks=min(len(entries), MOST_BLOCKS))
        return shards.map_batches(
            _read, batch_size=1, batch_format="pyarrow", fn_kwargs={"uri": self.store.uri, "columns": names}
        )


def _read(entries: pa.Table, uri: str, columns: list[str]) -> pa.Table:
    (entry,) = entries.to_pylist()
    return pa.Table.from_batches([read_batch(open_store(uri, PATIENCE_S), entry, columns)])
