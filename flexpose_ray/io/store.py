"""Storage behind a URI: the same few operations everywhere, one kind of failure; and the simplest store, a folder."""

from __future__ import annotations

import errno
import os
import re
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flexpose_ray.core.errors import StorageError

TEMP_PREFIX = ".tmp-"  # of files that are being written; never listed
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


class LocalStore(Store):
    """A folder, made at the first write. On a cluster it has to be one that all nodes share."""

    def __init__(self, root: str | Path):
        self.root = Path(root).expanduser().absolute()
        self.uri = str(self.root)

    def get(self, key: str) -> bytes:
        with self._explained(key):
            return self._path(key).read_bytes()

    def put(self, key: str, data: bytes) -> None:
        self._write(key, data, os.replace)

    def put_if_absent(self, key: str, data: bytes) -> bool:
        try:
            self._write(key, data, os.link)
        except FileExistsError:
            return False
        return True

    def exists(self, key: str) -> bool:
        with self._explained(key):
            return self._path(key).is_file()

    def iter_keys(self, prefix: str = "") -> Iterator[str]:
        return (key for key in self._walk(prefix) if not _is_temp(key))

    def unfinished(self) -> list[str]:
        return sorted(filter(_is_temp, self._walk("")))

    def _walk(self, prefix: str) -> Iterator[str]:
        with self._explained(prefix):
            for folder, _, names in os.walk(self.root / prefix.rpartition("/")[0], onerror=_raise_unless_missing):
                below = os.path.relpath(folder, self.root).replace(os.sep, "/") + "/"
                keys = (below.removeprefix("./") + name for name in names)
                yield from (key for key in keys if key.startswith(prefix))

    def delete(self, key: str) -> None:
        with self._explained(key):
            self._path(key).unlink(missing_ok=True)

    def child(self, prefix: str) -> LocalStore:
        return LocalStore(self.root / checked_key(prefix, self.uri))

    def _path(self, key: str) -> Path:
        return self.root / checked_key(key, self.uri)

    def _write(self, key: str, data: bytes, finish: Callable[[Path, Path], None]) -> None:
        """Write a temporary file beside ``key`` down to the disk, then let ``finish`` give it its name at once."""
        path = self._path(key)
        temp = path.with_name(f"{TEMP_PREFIX}{uuid.uuid4().hex}")
        with self._explained(key):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:  # below /proc, say: no folder can be made there
                raise StorageError(str(path.parent), "cannot be made", "choose another folder") from None
            try:
                with open(temp, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                finish(temp, path)
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)  # the name itself survives a power cut only now
                finally:
                    os.close(folder)
            finally:
                with suppress(FileNotFoundError):
                    temp.unlink()

    @contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        where = str(self.root / key)
        try:
            yield
        except FileNotFoundError:
            raise MissingKeyError(where, "is not there", "check the address, or make it first") from None
        except FileExistsError as error:
            if error.filename2 is not None:  # os.link lost against another writer
                raise
            raise StorageError(where, "a file is in the way of a folder", "choose another folder") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                hint = "free some space or choose another folder, then repeat the command: it continues"
            elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
                hint = "choose a folder that you may write to, or change its permissions"
            else:
                hint = "choose another folder"
            raise StorageError(where, error.strerror or str(error), hint) from error


def open_store(uri: str | Path, patience_s: float = PATIENCE_S) -> Store:
    """Return the store behind a folder name, ``file:///folder`` or ``s3://bucket/prefix``; nothing is touched yet.

    Args:
        uri: the address.
        patience_s: how long an S3 failure that may pass is tried again before it becomes an error.

    Raises:
        StorageError: unknown scheme, credentials in the address, no bucket, or an address that is not plain.
    """
    text = str(uri)
    shown = re.sub(r"//.*@", "//***@", text)  # what was typed may hold a password
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if not text:
        raise StorageError("storage", "the address is empty", "give a folder or s3://bucket/prefix")
    if scheme is None:
        return LocalStore(text)
    if scheme[1] not in ("s3", "file") or not text.startswith(scheme[0] + "//"):
        raise StorageError(shown, "not a known kind of address", "give a folder or s3://bucket/prefix")
    host, _, path = text.removeprefix(scheme[0] + "//").partition("/")
    if "@" in host or ":" in host:
        hint = "credentials belong into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the server into AWS_ENDPOINT_URL"
        raise StorageError(shown, "only a bucket name may follow //", hint)
    if scheme[1] == "file":
        if host:
            raise StorageError(shown, f"file:// with a host {host!r}", "write file:///folder, with three slashes")
        return LocalStore("/" + path)
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", host) or "?" in path or "#" in path:
        raise StorageError(
            shown, "not of the form s3://bucket/prefix", "the server's address goes into AWS_ENDPOINT_URL"
        )
    from flexpose_ray.io.s3 import S3Store  # here, so that work in folders never waits for boto3

    return S3Store(host, checked_key(path.strip("/"), text) if path.strip("/") else "", patience_s)


def checked_key(key: str, where: str) -> str:
    """A key is a plain relative path, so that it means the same in a folder and in a bucket."""
    if any(part in ("", ".", "..") for part in key.split("/")) or "\0" in key:
        raise StorageError(where, f"{key!r} is no plain relative key", "use names joined by single slashes")
    return key


def _is_temp(key: str) -> bool:
    return key.rpartition("/")[2].startswith(TEMP_PREFIX)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
