"""Storage in a folder."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from flexpose_ray.errors import StorageError
from flexpose_ray.storage.base import MissingKeyError, Store, checked_key

TEMP_PREFIX = ".tmp-"  # of files being written, which are never listed


class LocalStore(Store):
    """A folder, made at the first write. On a cluster all nodes have to share it."""

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
        """Write a temporary file next to ``key`` and sync it, then let ``finish`` give it its name in one step."""
        path = self._path(key)
        temp = path.with_name(f"{TEMP_PREFIX}{uuid.uuid4().hex}")
        with self._explained(key):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:  # no folder can be made there, as below /proc
                raise StorageError(str(path.parent), "cannot be made", "choose another folder") from None
            try:
                with open(temp, "xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                finish(temp, path)
                folder = os.open(path.parent, os.O_RDONLY)
                try:
                    os.fsync(folder)  # only now does the name survive a power cut
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
            if error.filename2 is not None:  # os.link: another writer was first
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


def _is_temp(key: str) -> bool:
    return key.rpartition("/")[2].startswith(TEMP_PREFIX)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
