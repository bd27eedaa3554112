"""The log of a data set: what every call that rendered shards did, and how long it took."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flexpose_ray.dataset.fields import Kinds, canonical_json, checked_fields
from flexpose_ray.storage.base import Store, read_json

KINDS: Kinds = {
    "poses": int,
    "seconds": float,
    "sampling_s": float,
    "device": str,
    "samplers": int,
    "drawers": int,
    "gpu_share": float,
}


@dataclass(frozen=True)
class Call:
    """One call that rendered shards.

    Attributes:
        poses: in the shards that it rendered.
        seconds: from its start to its end.
        sampling_s: seconds of all samplers together.
        device: "cpu" or "cuda".
        samplers, drawers: processes at most.
        gpu_share: part of a GPU that a sampler had.
    """

    poses: int
    seconds: float
    sampling_s: float
    device: str
    samplers: int
    drawers: int
    gpu_share: float

    @classmethod
    def from_json(cls, value: Any, where: str) -> Call:
        """Check JSON that lies at ``where``; errors as :func:`checked_fields`."""
        return cls(**checked_fields(value, KINDS, where))


def log_call(store: Store, call: Call) -> None:
    """Add a call to the log."""
    number = len(store.list("log/")) + 1
    while not store.put_if_absent(f"log/{number:05d}.json", canonical_json(asdict(call))):
        number += 1


def read_log(store: Store) -> list[Call]:
    """All calls, in their order.

    Raises:
        StorageError: an entry is no JSON object.
        DataError: a field is missing, unknown or of another type.
    """
    return [Call.from_json(read_json(store, key), f"{store.uri}/{key}") for key in store.list("log/")]
