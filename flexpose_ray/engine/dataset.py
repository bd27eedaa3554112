"""Generated data sets on a cluster: all that :class:`PoseDataset` can, and Ray Data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from flexpose_ray.io.dataset import PoseDataset, read_batch
from flexpose_ray.io.store import open_store

if TYPE_CHECKING:
    import ray.data

MOST_BLOCKS = 2000  # parts that the list of shards is cut into
PATIENCE_S = 120.0  # how long a worker outlasts a storage server that is away


class RayPoseDataset(PoseDataset):
    """A data set that the workers of a Ray cluster can read too."""

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
