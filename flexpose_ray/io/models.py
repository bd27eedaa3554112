"""Networks to and from storage: a pretrained generator with its beta, and adapted models on top of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from flexpose_ray.core.alpha import Alpha
from flexpose_ray.core.beta import Beta
from flexpose_ray.core.discriminator import Discriminator
from flexpose_ray.core.distribution import Moments
from flexpose_ray.core.errors import WeightsError
from flexpose_ray.core.generator import Generator
from flexpose_ray.core.sampler import PoseSampler
from flexpose_ray.core.transfer import Transfer
from flexpose_ray.io.weights import Model, load_into, read_model, write_model


@dataclass(frozen=True)
class Pretrained:
    """All that pretraining leaves: g_s, its discriminator, beta, how skeletons are drawn, and the source's moments."""

    generator: Generator
    discriminator: Discriminator
    beta: Beta
    alpha: Alpha
    source: Moments
    digest: str
    card: dict


def save_generator(
    uri: str,
    generator: Generator,
    discriminator: Discriminator,
    beta: Beta,
    alpha: Alpha,
    source: Moments,
    card: dict,
) -> str:
    """Write a pretrained generator to the folder ``uri``; returns its digest."""
    parts = {"generator": generator, "discriminator": discriminator, "beta": beta}
    config = {name: part.config for name, part in parts.items()} | {"alpha": alpha.config}
    tensors = {f"{name}.{k}": v for name, part in parts.items() for k, v in part.state_dict().items()}
    tensors |= {"source.mean": source[0], "source.covariance": source[1]}
    return write_model(uri, "generator", config, tensors, card)


def load_generator(uri: str) -> Pretrained:
    """Read a pretrained generator.

    Raises:
        WeightsError: missing, damaged, or an adapted model.
    """
    return _build(read_model(uri, "generator"), uri)


def save_adapted(uri: str, base_uri: str, base_digest: str, transfer: Transfer, card: dict) -> str:
    """Write tau alone, with the base's digest; where the base lies is on the card, so that it may move."""
    config = {"base_digest": base_digest, "transfer": transfer.config}
    return write_model(uri, "adapted", config, transfer.state_dict(), {**card, "base": base_uri})


def load_sampler(uri: str, batch: int = 64, device: torch.device | str = "cpu") -> PoseSampler:
    """Sampler of a pretrained or an adapted model.

    Args:
        uri: folder of either, or ``builtin:coco``.

    Raises:
        WeightsError: missing or damaged, or the base of an adapted model is gone or another one.
    """
    model = read_model(uri)
    if model.kind == "generator":
        base, transfer = _build(model, uri), None
    else:
        base = load_generator(model.card["base"])
        if base.digest != model.config["base_digest"]:
            raise WeightsError(uri, f"was adapted from another generator than the one at {model.card['base']}")
        transfer = Transfer.for_generator(base.generator, **model.config["transfer"])
        transfer.load_state_dict(model.tensors)
    return PoseSampler(base.generator, base.beta, base.alpha, model.digest, transfer, batch, device)


def _build(model: Model, uri: str) -> Pretrained:
    config = model.config
    generator = Generator(**config["generator"])
    discriminator = Discriminator(**config["discriminator"])
    beta = Beta(**config["beta"])
    for name, part in (("generator", generator), ("discriminator", discriminator), ("beta", beta)):
        load_into(part, model.tensors, name, uri)
    try:
        source = model.tensors["source.mean"], model.tensors["source.covariance"]
    except KeyError as error:
        raise WeightsError(uri, f"{error.args[0]} is missing", "use weights of this version") from error
    alpha = Alpha(**config["alpha"])
    return Pretrained(generator, discriminator, beta.eval(), alpha, source, model.digest, model.card)
