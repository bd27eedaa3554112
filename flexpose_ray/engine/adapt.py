"""Adaptation of one generator to one target: minutes on a CPU, so a plain function, no cluster."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable

import numpy as np

from flexpose_ray.config import AdaptConfig
from flexpose_ray.core.errors import ConfigError, WeightsError
from flexpose_ray.core.poses import PoseSet
from flexpose_ray.io.models import load_generator, save_adapted
from flexpose_ray.io.store import open_store
from flexpose_ray.io.weights import read_model
from flexpose_ray.methods.flexpose import FlexPoseSettings
from flexpose_ray.methods.flexpose import adapt as learn_transfer

HISTORY_ROWS = 200  # of the loss curve on the card


def adapt(
    generator_uri: str,
    shots: PoseSet,
    config: AdaptConfig,
    out_uri: str,
    on_step: Callable[[dict], None] = lambda row: None,
) -> dict:
    """Learn tau for ``shots`` and write it to ``out_uri``; what is there already, of the same make, is kept.

    Args:
        generator_uri: a pretrained generator, or ``builtin:NAME``.
        shots: at least two poses of the generator's skeleton.
        config: layers, loss and the rest.
        out_uri: folder of the adapted model.
        on_step: takes step, steps, loss, steps_s.

    Returns:
        The model's card: shots, settings, loss history, seconds; and ``uri``, ``digest``.

    Raises:
        DataError: fewer than two shots.
        ConfigError: unknown layer or setting, another skeleton, or another model at ``out_uri``.
        WeightsError: no such generator.
    """
    base_uri = generator_uri if generator_uri.startswith("builtin:") else open_store(generator_uri).uri
    base = load_generator(base_uri)
    if shots.skeleton_name != base.alpha.skeleton_name:
        problem = f"shots are {shots.skeleton_name}, the generator is {base.alpha.skeleton_name}"
        raise ConfigError(generator_uri, problem, "use a generator of that skeleton")
    make = {
        "base_digest": base.digest,
        "settings": config.model_dump(mode="json"),
        "shots": len(shots),
        "shots_hash": _hash(shots.keypoints_NJ2),
    }
    if (present := _present(out_uri)) is not None:
        if {key: present[key] for key in make} != make:
            problem = "holds a model of other shots, settings or generator"
            raise ConfigError(out_uri, problem, "choose another folder, or delete that one")
        return present
    history: list[dict] = []

    def note(row: dict) -> None:
        if row["step"] % max(1, row["steps"] // HISTORY_ROWS) == 0:
            history.append({"step": row["step"], "loss": round(row["loss"], 6)})
        on_step(row)

    start = time.perf_counter()
    settings = FlexPoseSettings(**config.model_dump())
    transfer = learn_transfer(
        base.generator, base.discriminator, base.beta, base.alpha, shots.keypoints_NJ2, settings, note
    )
    parameters = sum(p.numel() for p in transfer.parameters())
    card = {**make, "parameters": parameters, "seconds": round(time.perf_counter() - start, 1), "history": history}
    digest = save_adapted(out_uri, base_uri, base.digest, transfer, card)
    return {**card, "uri": open_store(out_uri).uri, "digest": digest}


def _present(uri: str) -> dict | None:
    if not open_store(uri).exists("model.json"):
        return None
    model = read_model(uri)
    if model.kind != "adapted":
        raise WeightsError(uri, f"holds {model.kind} weights", "choose another folder for the adapted model")
    return {**model.card, "uri": open_store(uri).uri, "digest": model.digest}


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
