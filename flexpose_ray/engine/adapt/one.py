"""Adaptation of one generator to one target: a minute on a CPU, so a plain function, no cluster."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flexpose_ray.config import AdaptConfig
from flexpose_ray.engine.runtime.memory import keep_memory
from flexpose_ray.errors import ConfigError, DataError, WeightsError
from flexpose_ray.methods.flexpose import FlexPoseSettings
from flexpose_ray.methods.flexpose import adapt as learn_transfer
from flexpose_ray.models.generators import Pretrained, load_generator, save_adapted
from flexpose_ray.models.weights import read_model
from flexpose_ray.networks.transfer import layer_set
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.open import open_store

HISTORY_ROWS = 200  # of the loss curve on the card


@dataclass(frozen=True)
class Base:
    """A generator to adapt, loaded, and the address that adapted models remember it by."""

    uri: str
    parts: Pretrained

    @staticmethod
    def load(generator_uri: str) -> Base:
        """Read the generator at ``generator_uri``, or ``builtin:NAME``.

        Raises:
            WeightsError: no such generator.
        """
        uri = generator_uri if generator_uri.startswith("builtin:") else open_store(generator_uri).uri
        return Base(uri, load_generator(uri))


def adapt(
    generator: str | Base,
    shots: PoseSet,
    config: AdaptConfig,
    out_uri: str,
    on_step: Callable[[dict], None] = lambda row: None,
    device: str = "cpu",
) -> dict:
    """Learn tau for ``shots`` and write it to ``out_uri``; what is there already, of the same make, is kept.

    ``make.json`` says from the first step on what the model is made of; it counts once its ``model.json`` is there.

    Args:
        generator: address of a pretrained one, or ``builtin:NAME``; or one that is loaded, for many adaptations.
        shots: at least two poses of the generator's skeleton.
        config: layers, loss and the rest.
        out_uri: folder of the adapted model.
        on_step: takes step, steps, loss, steps_s.
        device: where tau is learned.

    Returns:
        The model's card: shots, settings, loss history, seconds; and ``uri``, ``digest``.

    Raises:
        DataError: fewer than two shots.
        ConfigError: unknown layer or setting, another skeleton, or another adapted model at ``out_uri``.
        WeightsError: no such generator, or a generator at ``out_uri``.
    """
    base = generator if isinstance(generator, Base) else Base.load(generator)
    parts = base.parts
    check_shots(shots, config, parts.alpha.skeleton_name, parts.generator.n_layers, base.uri)
    make = {
        "base_digest": parts.digest,
        "settings": config.model_dump(mode="json"),
        "shots": len(shots),
        "shots_hash": _hash(shots.keypoints_NJ2),
    }
    if (present := _present(out_uri)) is not None:
        if {key: present.get(key) for key in make} != make:
            problem = "holds a model of other shots, settings or generator"
            raise ConfigError(out_uri, problem, "choose another folder, or delete that one")
        return present
    store = open_store(out_uri)
    history: list[dict] = []

    def note(row: dict) -> None:
        if row["step"] == 1:  # all is well so far; storage that refuses shall do so now, not at the end
            store.put("make.json", json.dumps(make, indent=1).encode())
        if row["step"] % max(1, row["steps"] // HISTORY_ROWS) == 0:
            history.append({"step": row["step"], "loss": round(row["loss"], 6)})
        on_step(row)

    keep_memory()
    start = time.perf_counter()
    settings = FlexPoseSettings(**config.model_dump())
    transfer = learn_transfer(parts, shots.keypoints_NJ2, settings, note, device)
    parameters = sum(t.numel() for t in transfer.state_dict().values())
    card = {**make, "parameters": parameters, "seconds": round(time.perf_counter() - start, 1), "history": history}
    digest = save_adapted(out_uri, base.uri, parts.digest, transfer, shots.keypoints_NJ2, card)
    return {**card, "base": base.uri, "uri": store.uri, "digest": digest}


def check_shots(shots: PoseSet, config: AdaptConfig, skeleton_name: str, n_layers: int, generator_uri: str) -> None:
    """See that a generator can be adapted to ``shots`` with ``config``.

    Args:
        shots: the annotated poses.
        config: settings of the adaptation.
        skeleton_name: what the generator draws.
        n_layers: its style layers.
        generator_uri: its name in errors.

    Raises:
        DataError: fewer than two shots.
        ConfigError: another skeleton, or a layer that the generator does not have.
    """
    if shots.skeleton_name != skeleton_name:
        problem = f"shots are {shots.skeleton_name}, the generator is {skeleton_name}"
        raise ConfigError(generator_uri, problem, "use a generator of that skeleton")
    if len(shots) < 2:
        raise DataError("shots", f"adaptation needs at least two poses, found {len(shots)}", "annotate more poses")
    layer_set(config.layers, n_layers)


def _present(uri: str) -> dict | None:
    if not open_store(uri).exists("model.json"):
        return None
    model = read_model(uri)
    if model.kind != "adapted":
        raise WeightsError(uri, f"holds {model.kind} weights", "choose another folder for the adapted model")
    return {**model.card, "uri": open_store(uri).uri, "digest": model.digest}


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
