"""Save and load pretrained generators with their networks, and the models adapted from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.shipped import BUILTIN, shipped_of_kind, shipped_with_digest
from flexpose_ray.models.shots import SHOTS
from flexpose_ray.models.weights import Model, copy_weights, load_into, read_model, resolve, write_model
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Kind, Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.sampler import ModelFacts, PoseSampler
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.storage.base import PATIENCE_S, Store
from flexpose_ray.storage.open import open_store

BASE = "base"  # in a copy, the base's folder within the adapted model's


@dataclass(frozen=True)
class Pretrained(Networks):
    """The result of pretraining, as it is stored.

    Attributes:
        limits: what the source's poses look like.
        digest: identity of the weights.
        card: what a person wants to know, see :class:`Model`.
    """

    limits: PoseLimits
    digest: str
    card: dict


def save_generator(uri: str, networks: Networks, limits: PoseLimits, card: dict) -> str:
    """Write a pretrained generator to the folder ``uri``.

    Returns:
        Its digest.
    """
    stylegan = {"generator": networks.generator, "discriminator": networks.discriminator, "beta": networks.beta}
    parts = {"flow": networks.generator} if networks.kind == "flow" else stylegan
    parts = {name: part for name, part in parts.items() if part is not None}
    config = {name: part.config for name, part in parts.items()} | {"alpha": networks.alpha.config}
    tensors = {f"{name}.{k}": v for name, part in parts.items() for k, v in part.state_dict().items()}
    mean_D, covariance_DD = (torch.as_tensor(moment) for moment in networks.source)
    tensors |= {"source.mean": mean_D, "source.covariance": covariance_DD, **limits.tensors()}
    return write_model(uri, "generator", config, tensors, card)


def load_generator(uri: str, patience_s: float = PATIENCE_S) -> Pretrained:
    """Read a pretrained generator.

    Raises:
        WeightsError: missing, damaged, or an adapted model.
    """
    return _build(read_model(uri, "generator", patience_s), uri)


def save_adapted(
    uri: str, base_uri: str, base_digest: str, transfer: Transfer, shots_SJ2: np.ndarray, card: dict
) -> str:
    """Write tau and the shots it was trained on, with the base's digest.

    The base's location is on the card, outside the digest, so that the base may move. It is an address, or a path
    within the model's own folder.

    Returns:
        The model's digest.
    """
    config = {"base_digest": base_digest, "transfer": transfer.config}
    tensors = transfer.state_dict() | {SHOTS: torch.as_tensor(shots_SJ2)}
    return write_model(uri, "adapted", config, tensors, {**card, "base": base_uri})


def load_sampler(
    uri: str,
    batch: int | None = None,
    device: torch.device | str = "cpu",
    patience_s: float = PATIENCE_S,
    bf16: bool = False,
) -> PoseSampler:
    """Sampler of a pretrained or an adapted model.

    Args:
        uri: folder of either, or ``builtin:coco``.
        batch: poses a pass of the networks; what is fastest for the generator's kind where None.
        device: where they run.
        patience_s: how long to retry while a storage server is unreachable.
        bf16: run the networks in bfloat16, which pays where the device has instructions for it.

    Raises:
        WeightsError: missing or damaged, or the base of an adapted model is missing or a different one.
    """
    return sampler_of(read_model(uri, patience_s=patience_s), uri, batch, device, patience_s, bf16)


def sampler_of(
    model: Model,
    uri: str,
    batch: int | None = None,
    device: torch.device | str = "cpu",
    patience_s: float = PATIENCE_S,
    bf16: bool = False,
) -> PoseSampler:
    """:func:`load_sampler` of a model that was read from ``uri`` already; an adapted one's base is read now."""
    if model.kind == "generator":
        base, transfer, shots_SJ2 = _build(model, uri), None, None
    else:
        base_uri = _base_uri(model, uri)
        base = load_generator(base_uri, patience_s)
        _check_base(model, base.digest, uri, base_uri)
        if SHOTS not in model.tensors:
            raise WeightsError(uri, f"{SHOTS} is missing", "adapt again with this version")
        shots_SJ2 = model.tensors.pop(SHOTS).numpy()
        transfer = Transfer.for_generator(base.generator, **model.config["transfer"])
        transfer.load_state_dict(model.tensors)
    sampler = base.sampler(transfer, batch, device, ModelFacts(model.digest, base.limits, shots_SJ2))
    sampler.bf16 = bf16
    return sampler


def kind_of(uri: str) -> Kind:
    """The kind of a pretrained generator, or of the one that a model was adapted from.

    Raises:
        WeightsError: missing or damaged.
    """
    model = read_model(uri)
    if model.kind != "generator":
        return kind_of(_base_uri(model, uri))
    return "flow" if "flow" in model.config else "stylegan"


def generator_of_kind(uri: str, kind: Kind | None) -> str:
    """The generator at ``uri``, or, of shipped ones, the one of that kind with the same source.

    Raises:
        ConfigError: it is of the other kind.
        WeightsError: missing or damaged.
    """
    if kind is None:
        return uri
    if uri.startswith(BUILTIN):
        return shipped_of_kind(uri, kind)
    if (found := kind_of(uri)) != kind:
        problem = f"{uri} is of kind {found}"
        raise ConfigError(f"--kind {kind}", problem, f"name a generator of kind {kind}, or leave --kind out")
    return uri


def attributions(uri: str) -> list[str]:
    """Owners and licences of the data that the model at ``uri`` and its base were trained on, as their cards say.

    Raises:
        WeightsError: the model or its base is missing or damaged.
    """
    model = read_model(uri)
    cards = [model.card] + ([read_model(_base_uri(model, uri)).card] if model.kind == "adapted" else [])
    return list(dict.fromkeys(card["attribution"] for card in cards if card.get("attribution")))


def copy_model(uri: str, store: Store) -> str:
    """Copy a model to ``store`` so that it is self-contained: an adapted one takes its base along.

    A complete copy of the same model is left as it is; an incomplete or damaged one is completed.

    Args:
        uri: a pretrained or an adapted model, or ``builtin:coco``.
        store: where to.

    Returns:
        The digest, which is that of the original.

    Raises:
        WeightsError: the model or its base is missing, damaged or a different one, or ``store`` holds another model.
    """
    model = read_model(uri)
    if _is_whole_copy(store, model, uri):
        return model.digest
    card = model.card
    if model.kind == "adapted":
        base_uri = _base_uri(model, uri)
        base = read_model(base_uri, "generator")
        _check_base(model, base.digest, uri, base_uri)
        copy_weights(base_uri, store.child(BASE), base.card)
        card = {**card, "base": BASE}
    return copy_weights(uri, store, card)


def _is_whole_copy(store: Store, model: Model, uri: str) -> bool:
    try:
        present = read_model(store.uri)
    except WeightsError:  # nothing yet, or damaged
        return False
    if present.digest != model.digest:
        raise WeightsError(store.uri, f"holds another model than {uri}", "delete that folder, or choose another")
    if model.kind == "generator":
        return True
    try:
        return read_model(store.child(BASE).uri, "generator").digest == model.config["base_digest"]
    except WeightsError:
        return False


def _base_uri(model: Model, uri: str) -> str:
    """Address of an adapted model's base; a plain path is relative to the model's own folder."""
    if model.kind != "adapted":
        way_out = "give a generator, or what adapt wrote"
        raise WeightsError(uri, f"holds {model.kind} weights where generator ones are needed", way_out)
    base = model.card.get("base")
    if not isinstance(base, str):
        raise WeightsError(uri, "its card names no base", "copy the folder again")
    if base.startswith(BUILTIN):  # the package may ship another one under that name by now
        return shipped_with_digest(model.config["base_digest"]) or base
    if ":" in base or base.startswith("/"):
        return base
    return open_store(resolve(uri)).child(base).uri


def _check_base(model: Model, digest: str, uri: str, base_uri: str) -> None:
    if digest != model.config["base_digest"]:
        raise WeightsError(uri, f"was adapted from another generator than the one at {base_uri}")


def _build(model: Model, uri: str) -> Pretrained:
    builders = {"flow": PoseFlow, "generator": Generator, "discriminator": Discriminator, "beta": Beta}
    parts = {name: build(**model.config[name]) for name, build in builders.items() if name in model.config}
    for name, part in parts.items():
        load_into(part, model.tensors, name, uri)
        part.eval()
    alpha = Alpha(**model.config["alpha"])
    try:
        source = model.tensors["source.mean"].numpy(), model.tensors["source.covariance"].numpy()
        limits = PoseLimits.from_tensors(model.tensors, alpha.skeleton)
    except KeyError as error:
        hint = "it is of an earlier version: pretrain again in a new folder"
        raise WeightsError(uri, f"{error.args[0]} is missing", hint) from error
    generator = parts.get("flow") or parts["generator"]
    others = parts.get("discriminator"), parts.get("beta")
    return Pretrained(generator, *others, alpha, source, limits, model.digest, model.card)
