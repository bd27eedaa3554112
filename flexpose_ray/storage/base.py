"""Storage behind a URI: the same few operations everywhere, and one kind of failure."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from flexpose_ray.errors import StorageError

PATIENCE_S = 10.0  # how long a failure that may pass (server away, throttled) is tried again


class MissingKeyError(StorageError):
    """The store works, but holds nothing under that key."""


class Store(ABC):
    """Bytes under keys such as ``shards/00000001.parquet``. Picklable: it holds an address, never a credential.

    Every failure is a StorageError that names the URI and the way out.

    Attributes:
        uri: address that :func:`open_store` turns into this store again, on every machine.
        patience_s: how long a failure that may pass is tried again.
    """

    uri: str
    patience_s: float = PATIENCE_S

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return the bytes under ``key``; MissingKeyError where there are none."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write ``data`` under ``key``, whole or not at all, in place of what was there."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write ``data`` unless ``key`` exists; of many writers at once exactly one wins.

        Returns:
            True for the winner. False says only that the key exists now, perhaps by an earlier attempt of this very
            call whose answer was lost: compare the contents.
        """

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether ``key`` is there."""

    @abstractmethod
    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that start with ``prefix``, in any order; of a million only some are in memory at a time."""

    def list(self, prefix: str = "") -> list[str]:
        """All keys that start with ``prefix``, sorted."""
        return sorted(self.iter_keys(prefix))

    def unfinished(self) -> list[str]:
        """What writers that were killed in the middle left, sorted; none where storage keeps nothing of that kind."""
        return []

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove ``key``; nothing happens where it is missing."""

    @abstractmethod
    def child(self, prefix: str) -> Store:
        """The part of this store below ``prefix``."""


def checked_key(key: str, where: str) -> str:
    """A key is a plain relative path, so that it means the same in a folder and in a bucket."""
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise StorageError(where, f"{key!r} is no plain relative key", "use names joined by single slashes")
    return key


def read_json(store: Store, key: str) -> dict[str, Any]:
    """The JSON object under ``key``.

    Raises:
        StorageError: it is missing, or no JSON object.
    """
    where, data = f"{store.uri}/{key}", store.get(key)
    try:
        value = json.loads(data)
    except ValueError as error:
        raise StorageError(where, f"broken JSON: {error}", "remove it and repeat the command that made it") from error
    if not isinstance(value, dict):
        raise StorageError(where, "JSON, but no object", "remove it and repeat the command that made it")
    return value
