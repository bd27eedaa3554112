"""Adaptation of one generator to one target: a minute on a CPU, so a plain function without a cluster."""

from __future__ import annotations

import functools
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
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.storage.open import open_store

HISTORY_ROWS = 200  # of the loss curve on the card
FINGERPRINT = "make.json"


@dataclass(frozen=True)
class BaseGenerator:
    """A generator to adapt, loaded.

    Attributes:
        uri: its address, which adapted models refer to.
        parts: the networks and all that belongs to them.
    """

    uri: str
    parts: Pretrained

    @staticmethod
    def load(generator_uri: str) -> BaseGenerator:
        """Read the generator at ``generator_uri``, or ``builtin:NAME``.

        Raises:
            WeightsError: no such generator.
        """
        uri = generator_uri if generator_uri.startswith("builtin:") else open_store(generator_uri).uri
        return BaseGenerator(uri, load_generator(uri))


@functools.cache
def cached_base(generator_uri: str) -> BaseGenerator:
    """The generator of many adaptations, read once in every worker."""
    return BaseGenerator.load(generator_uri)


def adapt(
    generator: str | BaseGenerator,
    shots: PoseSet,
    config: AdaptConfig,
    out_uri: str,
    on_step: Callable[[dict], None] = lambda row: None,
    device: str = "cpu",
) -> dict:
    """Learn tau for ``shots`` and write it to ``out_uri``; a model that is there with the same fingerprint is kept.

    ``make.json`` holds the fingerprint from the first step on; the model counts once its ``model.json`` is there.

    Args:
        generator: address of a pretrained one, or ``builtin:NAME``; or a loaded one, for many adaptations.
        shots: at least two poses of the generator's skeleton.
        config: layers, loss and the rest.
        out_uri: folder of the adapted model.
        on_step: takes rows of step, steps, loss, steps_s.
        device: where tau is learned.

    Returns:
        The model's card (shots, settings, loss history, seconds), and ``uri`` and ``digest``.

    Raises:
        DataError: fewer than two shots.
        ConfigError: unknown layer or setting, another skeleton, or another adapted model at ``out_uri``.
        WeightsError: no such generator, or a generator at ``out_uri``.
    """
    base = generator if isinstance(generator, BaseGenerator) else BaseGenerator.load(generator)
    parts = base.parts
    check_shots(shots, config, parts.alpha.skeleton_name, parts.generator.n_layers, base.uri)
    fingerprint = {
        "base_digest": parts.digest,
        "settings": config.model_dump(mode="json"),
        "shots": len(shots),
        "shots_hash": _hash(shots.keypoints_NJ2),
    }
    if (present := _present(out_uri)) is not None:
        if {key: present.get(key) for key in fingerprint} != fingerprint:
            problem = "holds a model of other shots, settings or generator"
            raise ConfigError(out_uri, problem, "choose another folder, or delete that one")
        return present
    store = open_store(out_uri)
    history: list[dict] = []

    def record(row: dict) -> None:
        if row["step"] == 1:  # so that storage that cannot be written is found out now, not at the end
            store.put(FINGERPRINT, json.dumps(fingerprint, indent=1).encode())
        if row["step"] % max(1, row["steps"] // HISTORY_ROWS) == 0:
            history.append({"step": row["step"], "loss": round(row["loss"], 6)})
        on_step(row)

    keep_memory()
    start = time.perf_counter()
    settings = FlexPoseSettings(**config.model_dump())
    transfer = learn_transfer(parts, shots.keypoints_NJ2, settings, record, device)
    parameters = sum(t.numel() for t in transfer.state_dict().values())
    seconds = round(time.perf_counter() - start, 1)
    card = {**fingerprint, "parameters": parameters, "seconds": seconds, "history": history}
    digest = save_adapted(out_uri, base.uri, parts.digest, transfer, shots.keypoints_NJ2, card)
    return {**card, "base": base.uri, "uri": store.uri, "digest": digest}


def check_shots(shots: PoseSet, config: AdaptConfig, skeleton_name: str, n_layers: int, generator_uri: str) -> None:
    """Check that a generator can be adapted to ``shots`` with ``config``.

    Args:
        shots: the annotated poses.
        config: settings of the adaptation.
        skeleton_name: of the generator.
        n_layers: number of its style layers.
        generator_uri: its address, for errors.

    Raises:
        DataError: fewer than two shots.
        ConfigError: another skeleton, or a layer that the generator does not have.
    """
    if shots.skeleton_name != skeleton_name:
        problem = f"shots are {shots.skeleton.name}, the generator is {get_skeleton(skeleton_name).name}"
        raise ConfigError(generator_uri, problem, "use a generator of that skeleton")
    if len(shots) < 2:
        raise DataError("shots", f"adaptation needs at least two poses, found {len(shots)}", "annotate more poses")
    layer_set(config.layers, n_layers)


def _present(uri: str) -> dict | None:
    """What :func:`adapt` returned for the model at ``uri``; None where there is none."""
    if not open_store(uri).exists("model.json"):
        return None
    model = read_model(uri)
    if model.kind != "adapted":
        raise WeightsError(uri, f"holds {model.kind} weights", "choose another folder for the adapted model")
    return {**model.card, "uri": open_store(uri).uri, "digest": model.digest}


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
