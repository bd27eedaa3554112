"""Export a model to programs without Python: its networks as ONNX or TorchScript, and a card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import torch

from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.detectors import load_detector
from flexpose_ray.models.generators import attributions, load_sampler
from flexpose_ray.models.portable.graphs import OPSET, need_onnx, run_onnx, run_torchscript, to_onnx, to_torchscript
from flexpose_ray.models.portable.networks import Network, detector_networks, networks
from flexpose_ray.models.weights import read_model
from flexpose_ray.networks.beta import read_heatmaps
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.base import read_json
from flexpose_ray.storage.open import open_store

SUFFIXES = {"onnx": "onnx", "torchscript": "pt"}
FORMATS = tuple(SUFFIXES)
TOLERANCE = 1e-4  # largest difference from the network's own output, in the output's unit
TRIED = 5  # rows of the comparison; a different number than the tracer's


def export_model(uri: str, format: str, out: str) -> dict[str, Any]:
    """Write the networks of a model to ``out``.

    The files are ``sampler`` (latents to poses), and of a StyleGAN ``generator`` (latents to images) and ``beta``
    (images to poses) too; of a detector ``detector`` (pictures to poses); with the format's suffix. Where a model
    blends, the sampler's latents are followed by the numbers of the blend. The card, ``onnx.json`` or
    ``torchscript.json``, describes their inputs and outputs; it is written last. Both formats may share a folder.

    Args:
        uri: a pretrained or an adapted model, a detector, or ``builtin:coco``.
        format: "onnx" or "torchscript".
        out: a folder or ``s3://bucket/prefix``.

    Returns:
        The card, and ``uri`` of the folder.

    Raises:
        ConfigError: unknown format, a missing package, or ``out`` holds another model.
        WeightsError: no such model, or an exported file that does not compute what the network does.
    """
    if format not in FORMATS:
        raise ConfigError("format", f"unknown format {format!r}", f"choose one of {', '.join(FORMATS)}")
    if format == "onnx":
        need_onnx()
    model, store, card_key = read_networks(uri, format), open_store(out), f"{format}.json"
    if store.exists(card_key) and read_json(store, card_key).get("digest") != model.digest:
        hint = "choose another folder, or delete that one"
        raise ConfigError(f"{store.uri}/{card_key}", f"belongs to another model than {uri}", hint)
    skeleton, sources = model.alpha.skeleton, attributions(uri)
    about = {"flexpose.digest": model.digest, "flexpose.kind": model.kind, "flexpose.skeleton": skeleton.name}
    about |= {"flexpose.attribution": "; ".join(sources)} if sources else {}
    files = {}
    for network in model.networks:
        data = to_onnx(network, about) if format == "onnx" else to_torchscript(network)
        _check(network, data, format, uri)
        key = f"{network.name}.{SUFFIXES[format]}"
        store.put(key, data)
        files[key] = {
            "input": network.input,
            "outputs": network.outputs,
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
        }
    card = {
        "format": format,
        "opset": OPSET if format == "onnx" else None,
        "kind": model.kind,
        "digest": model.digest,
        "attribution": sources,
        "files": files,
        "skeleton": {
            "name": skeleton.name,
            "joints": list(skeleton.joints),
            "limbs": [list(limb) for limb in skeleton.limbs],
            "flip": list(skeleton.flip),
        },
        "alpha": model.alpha.config,
        "torch": torch.__version__,
    }
    store.put(card_key, json.dumps(card, indent=1).encode() + b"\n")
    return {**card, "uri": store.uri}


@dataclass(frozen=True, eq=False)
class Exported:
    """What is exported of a model."""

    kind: str
    digest: str
    alpha: Alpha
    networks: tuple[Network, ...]


def read_networks(uri: str, format: str) -> Exported:
    """What :func:`export_model` writes of the model at ``uri``.

    Raises:
        WeightsError: no such model, or it or its base is damaged.
    """
    if read_model(uri).kind == "detector":
        detector = load_detector(uri)
        return Exported("detector", detector.digest, detector.reader.alpha, detector_networks(detector.reader))
    sampler = load_sampler(uri)
    found = networks(sampler, torch.jit.script(read_heatmaps) if format == "torchscript" else read_heatmaps)
    return Exported(sampler.kind, sampler.digest, sampler.alpha, found)


@torch.inference_mode()
def _check(network: Network, data: bytes, format: str, uri: str) -> None:
    """Check that the exported bytes compute what the network does."""
    x = network.example(TRIED)
    wanted = network.module(x)
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    found = run_onnx(data, x) if format == "onnx" else run_torchscript(data, x)
    apart = max((a - b).abs().max().item() for a, b in zip(found, wanted, strict=True))
    if not apart <= TOLERANCE:  # refuses NaN too
        problem = f"the {network.name} as {format} is {apart:.2g} off, {TOLERANCE:g} is allowed"
        raise WeightsError(uri, problem, "use the versions of constraints.txt")
