"""Checkpoints of pretraining: one safetensors file each, with numbers and history in its metadata.

One file is one put, so a checkpoint is whole or not there, in a folder and in a bucket alike. Which one is the last is
what the listing of storage says, never what a scheduler remembers.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass

import torch
from safetensors.torch import save

from flexpose_ray.core.errors import WeightsError
from flexpose_ray.io.store import Store
from flexpose_ray.io.weights import load_tensors

PREFIX = "checkpoints/"


@dataclass(frozen=True)
class Checkpoint:
    """What training goes on from.

    Attributes:
        tensors: networks and optimizer moments.
        numbers: counters.
        history: a row for every report so far: kimg, losses, FD.
    """

    tensors: dict[str, torch.Tensor]
    numbers: dict[str, float]
    history: list[dict[str, float]]


def write_checkpoint(store: Store, checkpoint: Checkpoint, keep: int = 2) -> None:
    """Write under the step's number, then delete all but the last ``keep``."""
    metadata = {"numbers": json.dumps(checkpoint.numbers), "history": json.dumps(checkpoint.history)}
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    store.put(f"{PREFIX}{int(checkpoint.numbers['step']):09d}.safetensors", save(tensors, metadata))
    for key in store.list(PREFIX)[:-keep]:
        store.delete(key)


def last_checkpoint(store: Store) -> Checkpoint | None:
    """The newest checkpoint, None where there is none.

    Raises:
        WeightsError: it is damaged; the message says to delete it, so that the one before counts.
    """
    keys = store.list(PREFIX)
    if not keys:
        return None
    where = f"{store.uri}/{keys[-1]}"
    data = store.get(keys[-1])
    try:
        (size,) = struct.unpack("<Q", data[:8])
        metadata = json.loads(data[8 : 8 + size])["__metadata__"]
        numbers, history = json.loads(metadata["numbers"]), json.loads(metadata["history"])
        return Checkpoint(load_tensors(data, where), numbers, history)
    except (struct.error, ValueError, KeyError, WeightsError) as error:
        raise WeightsError(where, "damaged checkpoint", "delete it: the run goes on from the one before") from error
