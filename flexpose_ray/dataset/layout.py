"""Where everything lies in a data set, and which shards make up a number of poses."""

from __future__ import annotations

from typing import NamedTuple

RUN_KEY = "run.json"
MODEL = "model"  # the folder of the generator
READERS = 4  # shards or commits read at the same time


class ShardId(NamedTuple):
    """Shard ``index`` of ``rows`` poses."""

    index: int
    rows: int

    @property
    def commit_key(self) -> str:
        return f"commits/{self.index:08d}-{self.rows}.json"

    def shard_key(self, sha256: str) -> str:
        """Key of the shard whose bytes have that hash."""
        return f"shards/{self.index:08d}-{sha256[:16]}.parquet"


def plan_shards(count: int, shard_size: int) -> list[ShardId]:
    """The shards that make up ``count`` poses; the last one may be shorter."""
    return [ShardId(i, min(shard_size, count - i * shard_size)) for i in range(-(-count // shard_size))]
