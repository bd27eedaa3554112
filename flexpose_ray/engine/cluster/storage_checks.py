"""Whether a storage keeps what data sets rely on: real probe objects, which are removed again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from flexpose_ray.errors import FlexPoseError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store
from flexpose_ray.storage.s3 import S3Store

PATIENCE_S = 5.0  # for a server that does not answer
SKEW_S, WORST_SKEW_S = 60.0, 600.0  # S3 refuses requests of clocks that are a quarter of an hour off

Row = tuple[str, str, str, str]  # name, ok/warn/fail, what was found, the way out


def storage_checks(uri: str) -> Iterator[Row]:
    """Write, read, list and remove objects below ``uri``, two of them under one name, and compare clocks.

    Yields:
        One row a check; the first that fails is the last.
    """
    try:
        place = open_store(uri, PATIENCE_S)
        store = place.child(f"flexpose-doctor-{uuid.uuid4().hex[:12]}")
        above = (place.root, *place.root.parents) if isinstance(place, LocalStore) else ()
        new = [folder for folder in above if not folder.exists()]
    except FlexPoseError as error:
        yield _failed("storage", error)
        return
    try:
        began, content = time.monotonic(), uuid.uuid4().bytes
        store.put("probe", content)
        if store.get("probe") != content or set(store.list()) != {"probe"}:
            yield "storage", "fail", f"{uri} gives back something else than was written", "use another server"
            return
        took_ms = (time.monotonic() - began) / 3 * 1000
        yield "storage", "ok", f"{uri} takes, lists and gives back objects, {took_ms:.0f} ms a call", ""
        yield _conditional(store, content)
        yield clock_check(_skew_s(store))
    except FlexPoseError as error:
        yield _failed("storage", error)
    finally:
        _remove(store)
        for folder in new:
            with suppress(OSError):
                folder.rmdir()


def clock_check(skew_s: float | None) -> Row:
    """Whether this machine's clock and the storage's agree; ``skew_s`` in seconds, None where it tells no time."""
    if skew_s is None:
        return "clock", "warn", "the storage tells no time", "see that the clock is set by NTP"
    found, way_out = f"{abs(skew_s):.0f} s off the storage's", "set the clock by NTP: timedatectl set-ntp true"
    if abs(skew_s) < SKEW_S:
        return "clock", "ok", found, ""
    return "clock", "fail" if abs(skew_s) > WORST_SKEW_S else "warn", found, way_out


def _conditional(store: Store, content: bytes) -> Row:
    name, way_out = "conditional writes", "use a server that keeps If-None-Match: *, or a folder"
    if not store.put_if_absent("once", content):
        return name, "fail", "an object was there before it was written", way_out
    if store.put_if_absent("once", b"another") or store.get("once") != content:
        return name, "fail", "a second write replaced the first: two writers would spoil a data set", way_out
    return name, "ok", "the first writer wins", ""


def _skew_s(store: Store) -> float | None:
    if isinstance(store, LocalStore):
        return (store.root / "probe").stat().st_mtime - time.time()
    if isinstance(store, S3Store):
        headers = store.client.list_objects_v2(Bucket=store.bucket, MaxKeys=1)["ResponseMetadata"]["HTTPHeaders"]
        with suppress(KeyError, ValueError):
            return (parsedate_to_datetime(headers["date"]) - datetime.now(UTC)).total_seconds()
    return None


def _remove(store: Store) -> None:
    for key in ("probe", "once"):
        with suppress(FlexPoseError):  # what went wrong has been told
            store.delete(key)
    if isinstance(store, LocalStore):
        with suppress(OSError):
            store.root.rmdir()


def _failed(name: str, error: FlexPoseError) -> Row:
    return name, "fail", f"{error.where}: {error.problem}", error.hint
