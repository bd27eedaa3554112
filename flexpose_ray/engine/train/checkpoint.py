"""Checkpoints of pretraining: one safetensors file each, with numbers and history in its metadata.

One file is one put, so that a checkpoint is whole or absent, in a folder and in a bucket alike. The listing of storage,
not a scheduler's memory, decides which one is the last.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from dataclasses import dataclass

import torch
from safetensors.torch import save

from flexpose_ray.errors import WeightsError
from flexpose_ray.models.weights import load_tensors
from flexpose_ray.storage.base import Store

PREFIX = "checkpoints/"
KEY = re.compile(PREFIX + r"\d{9}\.safetensors")
DELETE_HINT = "delete it: the run resumes from the checkpoint before"


@dataclass(frozen=True)
class Checkpoint:
    """What training resumes from.

    Attributes:
        tensors: networks and optimizer moments.
        numbers: counters; ``step`` among them.
        history: a row for every report so far: kimg, losses, FD.
        run: name of the run; None in checkpoints of earlier versions.
    """

    tensors: dict[str, torch.Tensor]
    numbers: dict[str, float]
    history: list[dict[str, float]]
    run: str | None = None

    def copied(self) -> Checkpoint:
        """A copy in memory of its own, on the CPU, so that training may go on."""
        tensors = {
            name: t.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
            for name, t in self.tensors.items()
        }
        return Checkpoint(tensors, dict(self.numbers), list(self.history), self.run)


def write_checkpoint(store: Store, checkpoint: Checkpoint, keep: int = 2) -> None:
    """Write under the step's number, then delete all but the last ``keep`` and the one with the best FD."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    metadata = {
        "numbers": json.dumps(checkpoint.numbers),
        "history": json.dumps(checkpoint.history),
        "sha256": _hash(tensors),
    }
    if checkpoint.run is not None:
        metadata["run"] = checkpoint.run
    store.put(_key(checkpoint.numbers["step"]), save(tensors, metadata))
    best = _best_step(checkpoint)
    for key in _keys(store)[:-keep]:
        if best is None or key != _key(best):
            store.delete(key)


def last_checkpoint(store: Store, run: str | None = None) -> Checkpoint | None:
    """The newest checkpoint, None where there is none.

    Args:
        run: name of the run that it has to be of.

    Raises:
        WeightsError: it is damaged or of another run; the message says to delete it.
    """
    keys = _keys(store)
    if not keys:
        return None
    where = f"{store.uri}/{keys[-1]}"
    data = store.get(keys[-1])
    try:
        (size,) = struct.unpack("<Q", data[:8])
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        numbers, history = json.loads(metadata["numbers"]), json.loads(metadata["history"])
        tensors, wrote = load_tensors(data, where), metadata.get("run")
    except (struct.error, ValueError, KeyError, TypeError, WeightsError) as error:
        raise WeightsError(where, "damaged checkpoint", DELETE_HINT) from error
    if "sha256" in metadata and metadata["sha256"] != _hash(tensors):
        raise WeightsError(where, "damaged checkpoint: its hash differs", DELETE_HINT)
    if run is not None and wrote not in (None, run):
        raise WeightsError(where, f"checkpoint of another run, {wrote}; this run is {run}", DELETE_HINT)
    return Checkpoint(tensors, numbers, history, wrote)


def check_fits(tensors: dict[str, torch.Tensor], networks: dict[str, torch.nn.Module], where: str) -> None:
    """Check that a checkpoint holds weights for these networks.

    Raises:
        WeightsError: names or shapes differ.
    """
    for name, network in networks.items():
        wanted = {f"{name}.{k}": tuple(v.shape) for k, v in network.state_dict().items()}
        found = {k: tuple(v.shape) for k, v in tensors.items() if k.startswith(f"{name}.")}
        if odd := sorted(key for key in wanted | found if wanted.get(key) != found.get(key)):
            problem = f"{odd[0]} is {found.get(odd[0], 'missing')}, this run has {wanted.get(odd[0], 'none')}"
            raise WeightsError(where, f"checkpoint of other networks: {problem}", DELETE_HINT)


def _key(step: float) -> str:
    return f"{PREFIX}{int(step):09d}.safetensors"


def _keys(store: Store) -> list[str]:
    return [key for key in store.list(PREFIX) if KEY.fullmatch(key)]


def _best_step(checkpoint: Checkpoint) -> int | None:
    """The step of the best FD so far; steps and kimg of a run are in one proportion."""
    judged = [row for row in checkpoint.history if "fd" in row]
    if not judged:
        return None
    best = min(judged, key=lambda row: row["fd"])
    return round(checkpoint.numbers["step"] * best["kimg"] / checkpoint.history[-1]["kimg"])


def _hash(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
