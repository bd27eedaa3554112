"""Storage behind a URI: the same few operations for folders and buckets, and one kind of error."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from flexpose_ray.errors import StorageError

PATIENCE_S = 10.0  # seconds to retry transient failures: server away, throttled


class MissingKeyError(StorageError):
    """The store works, but holds nothing under the key."""


class Store(ABC):
    """Bytes under keys such as ``shards/00000001.parquet``. Picklable: it holds an address, never a credential.

    Every failure is a StorageError that names the URI and what to do about it.

    Attributes:
        uri: address from which :func:`open_store` makes this store again, on any machine.
        patience_s: seconds to retry transient failures.
    """

    uri: str
    patience_s: float = PATIENCE_S

    @abstractmethod
    def get(self, key: str) -> bytes:
        """Return the bytes under ``key``; MissingKeyError where there are none."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write ``data`` under ``key``, whole or not at all, replacing what was there."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write ``data`` unless ``key`` exists; of many concurrent writers exactly one wins.

        Returns:
            True for the winner. False means only that the key exists now, perhaps because of an earlier attempt of
            this very call whose answer was lost: compare the contents.
        """

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Whether ``key`` exists."""

    @abstractmethod
    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        """All keys that start with ``prefix``, in any order, a page at a time."""

    def list(self, prefix: str = "") -> list[str]:
        """All keys that start with ``prefix``, sorted."""
        return sorted(self.iter_keys(prefix))

    def unfinished(self) -> list[str]:
        """Keys that killed writers left half-written, sorted; none where storage keeps no such objects."""
        return []

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove ``key`` if it exists."""

    @abstractmethod
    def child(self, prefix: str) -> Store:
        """The part of this store below ``prefix``."""


def checked_key(key: str, where: str) -> str:
    """Return ``key`` if it is a plain relative path, which means the same in a folder and in a bucket."""
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise StorageError(where, f"{key!r} is not a plain relative key", "use names joined by single slashes")
    return key


def read_json(store: Store, key: str) -> dict[str, Any]:
    """Return the JSON object under ``key``.

    Raises:
        MissingKeyError: there is none.
        StorageError: it is not a JSON object.
    """
    where, data = f"{store.uri}/{key}", store.get(key)
    try:
        value = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise StorageError(where, f"broken JSON: {error}", "remove it and repeat the command that made it") from error
    if not isinstance(value, dict):
        raise StorageError(where, "JSON, but not an object", "remove it and repeat the command that made it")
    return value


def _refuse(constant: str) -> None:
    """Python reads NaN and Infinity, which are no JSON and which nothing here writes."""
    raise ValueError(f"{constant} is no number")
