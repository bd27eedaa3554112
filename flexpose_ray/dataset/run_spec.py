"""The run of a data set: everything that its poses depend on, as ``run.json`` and every manifest hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from flexpose_ray.dataset.fields import Kinds, canonical_json, checked_fields, checked_values, damaged
from flexpose_ray.dataset.layout import RUN_KEY
from flexpose_ray.errors import ConfigError, DataError, StorageError
from flexpose_ray.storage.base import Store, read_json

FORMAT = 2  # of shards, commits and manifests
BF16 = "bfloat16"  # a precision

KINDS: Kinds = {
    "format": int,
    "generator": str,
    "skeleton": str,
    "seed": int,
    "shard_size": int,
    "batch": int,
    "gate": dict,
    "schema": dict,
    "images": str | None,
    "alpha": dict,
}
OPTIONAL_KINDS: Kinds = {"confidence": str | None, "precision": str | None}  # written where they are not None only
GATE_KINDS: Kinds = {
    "mode": str,
    "confidence": float,
    "margin": float,
    "round_trip": float | None,
    "duplicate": float,
    "shot_copy": float,
}
ALPHA_KINDS: Kinds = {"skeleton_name": str, "size": int, "channels": int, "profile": str, "width": float}


@dataclass(frozen=True)
class RunSpec:
    """What every pose of a data set depends on. Picklable, so that it is read once and travels to the workers.

    Attributes:
        generator: digest of the model under ``model/``.
        skeleton: name of the poses' skeleton.
        seed: together with a pose's index, its address.
        shard_size: poses in a shard.
        batch: images in a pass of the networks; the last bits of a pose depend on it.
        gate: arguments of :class:`pose.gate.GateSettings`.
        schema: Arrow type of every column of a shard.
        images: "png" or "webp" where shards hold pictures, else None.
        alpha: arguments of :class:`pose.alpha.Alpha`, which draws the poses.
        confidence: what the column of that name holds; None: what beta reads off the images.
        precision: "bfloat16" where networks ran in it; None: float32.
        format: version of what lies on storage.
    """

    generator: str
    skeleton: str
    seed: int
    shard_size: int
    batch: int
    gate: dict[str, Any]
    schema: dict[str, str]
    images: str | None
    alpha: dict[str, Any]
    confidence: str | None = None
    precision: str | None = None
    format: int = FORMAT

    @classmethod
    def read(cls, store: Store) -> RunSpec:
        """Read ``run.json`` of the data set in ``store``.

        Raises:
            MissingKeyError: no data set was begun there.
            StorageError: no JSON object.
            DataError: a field is missing, unknown or of another type, or the format is another.
        """
        return cls.from_json(read_json(store, RUN_KEY), f"{store.uri}/{RUN_KEY}")

    @classmethod
    def from_json(cls, value: Any, where: str, prefix: str = "") -> RunSpec:
        """Check JSON that lies at ``where`` under ``prefix``; errors as :func:`checked_fields`, or another format."""
        found = value.get("format", FORMAT) if isinstance(value, dict) else FORMAT
        if found != FORMAT:
            hint = "upgrade flexpose-ray, or generate the data set again in another place"
            raise DataError(where, f"{prefix}format is {found}, this version reads {FORMAT}", hint)
        if isinstance(value, dict):
            value = dict.fromkeys(OPTIONAL_KINDS) | value
        run = cls(**checked_fields(value, KINDS | OPTIONAL_KINDS, where, prefix))
        checked_fields(run.gate, GATE_KINDS, where, f"{prefix}gate.")
        checked_fields(run.alpha, ALPHA_KINDS, where, f"{prefix}alpha.")
        checked_values(run.schema, str, where, f"{prefix}schema.")
        for key, count in (("shard_size", run.shard_size), ("batch", run.batch)):
            if count < 1:
                raise damaged(where, f"{prefix}{key} is {count}, less than 1")
        return run

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {key: value for key, value in values.items() if value is not None or key not in OPTIONAL_KINDS}

    def pin(self, store: Store) -> None:
        """Record the run in ``store``, or check that it is the one recorded there.

        Raises:
            ConfigError: the data set was started with other values; the message names all of them.
            DataError: what is recorded there is damaged.
            StorageError: the server ignores conditional writes, on which the commit protocol relies.
        """
        data = canonical_json(self.to_json())
        if store.put_if_absent(RUN_KEY, data):
            if store.put_if_absent(RUN_KEY, data):
                problem = "the server overwrites an existing object in spite of If-None-Match: *"
                raise StorageError(store.uri, problem, "use a server with conditional writes, or a folder")
            return
        if different := _differences(RunSpec.read(store).to_json(), self.to_json()):
            hint = "repeat the first command's values to continue it, or choose another place for a new data set"
            raise ConfigError(f"{store.uri}/{RUN_KEY}", f"belongs to another run: {'; '.join(different)}", hint)


def _differences(pinned: dict[str, Any], asked: dict[str, Any], prefix: str = "") -> list[str]:
    """A sentence for every value that differs, with nested keys joined by dots."""
    found = []
    for key in sorted(pinned | asked):
        before, now = (side.get(key, "absent") for side in (pinned, asked))
        if isinstance(before, dict) and isinstance(now, dict):
            found += _differences(before, now, f"{prefix}{key}.")
        elif before != now:
            found.append(f"{prefix}{key} was {before} and is now {now}")
    return found
