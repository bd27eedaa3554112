"""Opening the store behind an address."""

from __future__ import annotations

import re
from pathlib import Path

from flexpose_ray.errors import StorageError
from flexpose_ray.storage.base import PATIENCE_S, Store, checked_key
from flexpose_ray.storage.local import LocalStore


def open_store(uri: str | Path, patience_s: float = PATIENCE_S) -> Store:
    """Return the store behind a folder name, ``file:///folder`` or ``s3://bucket/prefix`` without touching it.

    Args:
        uri: the address.
        patience_s: seconds to retry transient S3 failures before they become an error.

    Raises:
        StorageError: unknown scheme, credentials in the address, no bucket, or a malformed address.
    """
    text = str(uri)
    shown = re.sub(r"//.*@", "//***@", text)  # what was typed may hold a password
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if not text:
        raise StorageError("storage", "the address is empty", "give a folder or s3://bucket/prefix")
    if scheme is None:
        return LocalStore(text)
    if scheme[1] not in ("s3", "file") or not text.startswith(scheme[0] + "//"):
        raise StorageError(shown, "not an address of a known kind", "give a folder or s3://bucket/prefix")
    host, _, path = text.removeprefix(scheme[0] + "//").partition("/")
    if "@" in host or ":" in host:
        hint = "put credentials into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the server into AWS_ENDPOINT_URL"
        raise StorageError(shown, "only a bucket name may follow //", hint)
    if scheme[1] == "file":
        if host:
            raise StorageError(shown, f"file:// with a host {host!r}", "write file:///folder, with three slashes")
        return LocalStore("/" + path)
    if not re.fullmatch(r"[A-Za-z0-9._-]{3,255}", host) or "?" in path or "#" in path:
        raise StorageError(
            shown, "not of the form s3://bucket/prefix", "the server's address goes into AWS_ENDPOINT_URL"
        )
    from flexpose_ray.storage.s3 import S3Store  # here, so that work on folders does not load boto3

    return S3Store(host, checked_key(path.strip("/"), text) if path.strip("/") else "", patience_s)


def locate(uri: str | Path) -> tuple[Store, str]:
    """The store that holds a file, and the file's key there.

    Raises:
        StorageError: ``uri`` names a folder, or as :func:`open_store`.
    """
    folder, _, name = str(uri).rpartition("/")
    if not name:
        raise StorageError(uri, "names a folder, expected a file", "write it like sets/poses.parquet")
    return open_store(folder or ("/" if str(uri).startswith("/") else ".")), name
