"""The shots of an adapted model, read without building its networks."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

from flexpose_ray.errors import WeightsError
from flexpose_ray.storage.base import PATIENCE_S, MissingKeyError
from flexpose_ray.storage.open import open_store

SHOTS = "gate.shots"  # name of the tensor


def read_shots(uri: str, patience_s: float = PATIENCE_S) -> np.ndarray | None:
    """The annotated poses that the model in the folder ``uri`` was adapted to: float32 (S, J, 2), crop units.

    Returns:
        None for a model that was not adapted to any.

    Raises:
        WeightsError: no model there, or it is damaged.
    """
    store = open_store(uri, patience_s)
    try:
        head = json.loads(store.get("model.json"))
        if head["kind"] != "adapted":
            return None
        data = store.get(head["tensors"])
        if hashlib.sha256(data).hexdigest() != head["sha256"]:
            raise WeightsError(uri, f"{head['tensors']} is damaged: its hash differs", "copy the folder again")
        return load(data)[SHOTS]
    except MissingKeyError as error:
        raise WeightsError(uri, f"{error.where} is missing", "copy the folder again") from error
    except (ValueError, TypeError, KeyError, SafetensorError) as error:
        raise WeightsError(uri, f"damaged: {type(error).__name__}: {error}", "copy the folder again") from error
