"""Models on storage: one safetensors file named by the hash of its content, and ``model.json`` that points to it.

The JSON is written last and in one piece, so a reader sees the old model or the new one, never a mix of both.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from flexpose_ray.canonical import canonical_text
from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.shipped import BUILTIN, shipped_folder
from flexpose_ray.storage.base import PATIENCE_S, MissingKeyError, Store
from flexpose_ray.storage.open import open_store

FORMAT = 1
UNSET = re.compile(r"\$\{(\w+)\}")  # what recipes leave in a URI where a variable of the environment is missing
HEAD_KEYS = ("kind", "digest", "tensors", "sha256", "config", "card")


@dataclass(frozen=True)
class Model:
    """The content of a model's folder.

    Attributes:
        kind: "generator" (with its discriminator and beta) or "adapted".
        config: the arguments that build the networks.
        tensors: weights by name.
        card: information for people: data, licence, training, quality. Not part of the digest.
        digest: SHA-256 over kind, config and tensors.
    """

    kind: str
    config: dict
    tensors: dict[str, torch.Tensor]
    card: dict
    digest: str


def resolve(uri: str) -> str:
    """Folder of a model; ``builtin:NAME`` is a model shipped with the package.

    Raises:
        ConfigError: no such shipped model, or an environment variable that is not set.
    """
    if unset := UNSET.search(uri):
        problem = f"environment variable {unset[1]} is not set"
        raise ConfigError(f"model {uri}", problem, f"export {unset[1]}=the folder that pretrain or adapt wrote")
    return shipped_folder(uri) if uri.startswith(BUILTIN) else uri


def write_model(uri: str, kind: str, config: dict, tensors: dict[str, torch.Tensor], card: dict) -> str:
    """Write a model to the folder ``uri``.

    Returns:
        Its digest.
    """
    data = save({name: t.detach().cpu().contiguous() for name, t in sorted(tensors.items())})
    sha = hashlib.sha256(data).hexdigest()
    digest = _digest(kind, config, sha)
    head = {"format": FORMAT, "kind": kind, "digest": digest, "tensors": f"model-{sha[:16]}.safetensors", "sha256": sha}
    store = open_store(uri)
    old = _head(store)
    store.put(head["tensors"], data)
    store.put("model.json", _text({**head, "config": config, "card": card}))
    if old is not None and old.get("tensors") != head["tensors"]:
        store.delete(old["tensors"])
    return digest


def read_model(uri: str, kind: str | None = None, patience_s: float = PATIENCE_S) -> Model:
    """Read and check the model at ``uri``.

    Args:
        uri: its folder, or ``builtin:NAME``.
        kind: the kind that the caller needs; None for any.
        patience_s: how long to retry while a storage server is unreachable.

    Raises:
        WeightsError: there is none, or it is damaged, of another kind, or of a newer format.
    """
    head, data = _read(uri, kind, patience_s)
    return Model(head["kind"], head["config"], load_tensors(data, uri), head["card"], head["digest"])


def copy_weights(uri: str, store: Store, card: dict) -> str:
    """Copy the model at ``uri`` to ``store`` byte by byte, with another card.

    Returns:
        Its digest.
    """
    head, data = _read(uri)
    store.put(head["tensors"], data)
    store.put("model.json", _text({**head, "card": card}))
    return head["digest"]


def _read(uri: str, kind: str | None = None, patience_s: float = PATIENCE_S) -> tuple[dict, bytes]:
    """The checked ``model.json`` of the model at ``uri``, and the bytes of its tensors."""
    store = open_store(resolve(uri), patience_s)
    head = _head(store)
    if head is None:
        raise WeightsError(uri, "no model here (no model.json)", "give the folder that pretrain or adapt wrote")
    if head.get("format") != FORMAT:
        raise WeightsError(uri, f"format {head.get('format')}, this version reads {FORMAT}", "upgrade flexpose-ray")
    if missing := [key for key in HEAD_KEYS if key not in head]:
        raise WeightsError(uri, f"model.json is damaged: no {missing[0]}", "copy the folder again")
    if kind is not None and head["kind"] != kind:
        raise WeightsError(uri, f"holds {head['kind']} weights where {kind} ones are needed")
    if _digest(head["kind"], head["config"], head["sha256"]) != head["digest"]:
        raise WeightsError(uri, "model.json is damaged: its digest differs", "copy the folder again")
    try:
        data = store.get(head["tensors"])
    except MissingKeyError as error:
        if _head(store) != head:  # it was replaced by another model meanwhile
            return _read(uri, kind, patience_s)
        raise WeightsError(uri, f"{head['tensors']} is missing", "copy the folder again") from error
    if hashlib.sha256(data).hexdigest() != head["sha256"]:
        raise WeightsError(uri, f"{head['tensors']} is damaged: its hash differs", "copy the folder again")
    return head, data


def load_tensors(data: bytes, where: str) -> dict[str, torch.Tensor]:
    """Tensors of a safetensors file.

    Raises:
        WeightsError: damaged or of another format.
    """
    try:
        return load(data)
    except SafetensorError as error:
        raise WeightsError(where, f"not a safetensors file: {error}", "copy it again") from error


def load_into(module: torch.nn.Module, tensors: dict[str, torch.Tensor], prefix: str, where: str) -> None:
    """Copy the tensors under ``prefix.`` into ``module``.

    Raises:
        WeightsError: names or shapes differ.
    """
    mine = {k.removeprefix(prefix + "."): v for k, v in tensors.items() if k.startswith(prefix + ".")}
    try:
        module.load_state_dict(mine)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise WeightsError(
            where, f"the {prefix} does not fit its config: {reason}", "use weights of this version"
        ) from error


def _text(head: dict) -> bytes:
    return json.dumps(head, indent=1).encode()


def _digest(kind: str, config: dict, sha: str) -> str:
    text = canonical_text([kind, config, sha])
    return hashlib.sha256(text.encode()).hexdigest()


def _head(store: Store) -> dict | None:
    try:
        head = json.loads(store.get("model.json"))
    except MissingKeyError:
        return None
    except ValueError as error:
        raise WeightsError(store.uri, f"model.json is broken: {error}", "copy the folder again") from error
    if not isinstance(head, dict):
        raise WeightsError(store.uri, "model.json is broken: no JSON object", "copy the folder again")
    return head
