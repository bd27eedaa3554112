"""Whether a storage does what data sets rely on, tried with objects that are removed again."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from flexpose_ray.engine.cluster.check import Check
from flexpose_ray.errors import FlexPoseError
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store
from flexpose_ray.storage.s3 import S3Store

PATIENCE_S = 5.0  # with a server that does not answer
SKEW_S, WORST_SKEW_S = 60.0, 600.0  # S3 refuses requests when the clock is 15 minutes off


def storage_checks(uri: str) -> Iterator[Check]:
    """Write, read, list and remove objects below ``uri``, two of them under one name, and compare clocks.

    Yields:
        Up to three checks, none after one that fails with an error.
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
            yield Check("storage", "fail", f"{uri} does not return what was written", "use another server")
            return
        took_ms = (time.monotonic() - began) / 3 * 1000
        yield Check("storage", "ok", f"{uri} stores, lists and returns objects, {took_ms:.0f} ms a call")
        yield _conditional(store, content)
        yield clock_check(_skew_s(store))
    except FlexPoseError as error:
        yield _failed("storage", error)
    finally:
        _remove(store)
        for folder in new:
            with suppress(OSError):
                folder.rmdir()


def clock_check(skew_s: float | None) -> Check:
    """Check that the clocks of this machine and the storage agree.

    Args:
        skew_s: difference in seconds; None where the storage does not report the time.
    """
    if skew_s is None:
        return Check("clock", "warn", "the storage does not report the time", "check that NTP sets the clock")
    found, way_out = f"{abs(skew_s):.0f} s off the storage's clock", "set the clock by NTP: timedatectl set-ntp true"
    if abs(skew_s) < SKEW_S:
        return Check("clock", "ok", found)
    return Check("clock", "fail" if abs(skew_s) > WORST_SKEW_S else "warn", found, way_out)


def _conditional(store: Store, content: bytes) -> Check:
    name, way_out = "conditional writes", "use a server with If-None-Match: *, or a folder"
    if not store.put_if_absent("once", content):
        return Check(name, "fail", "an object existed before it was written", way_out)
    if store.put_if_absent("once", b"another") or store.get("once") != content:
        found = "a second write replaced the first: two writers would spoil a data set"
        return Check(name, "fail", found, way_out)
    return Check(name, "ok", "the first writer wins")


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
        with suppress(FlexPoseError):  # what went wrong has been reported
            store.delete(key)
    if isinstance(store, LocalStore):
        with suppress(OSError):
            store.root.rmdir()


def _failed(name: str, error: FlexPoseError) -> Check:
    return Check(name, "fail", f"{error.where}: {error.problem}", error.hint)
