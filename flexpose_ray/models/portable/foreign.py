"""Import generators trained elsewhere: state dicts of our networks, from PyTorch or safetensors files, become a model.

Code inside such a file never runs. Everything is checked before anything is written.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

from flexpose_ray.errors import ConfigError, DataError, FlexPoseError, WeightsError
from flexpose_ray.judging.metrics import frechet_distance, mean_joint_error
from flexpose_ray.models.generators import copy_model, save_generator
from flexpose_ray.models.weights import load_tensors, read_model
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.storage.open import open_store

NETWORKS = {"generator": Generator, "discriminator": Discriminator, "beta": Beta}
FROM_POSES = ("source.", "gate.")  # tensors of a model that are computed from its source poses
OTHER_STYLEGAN = re.compile(r"synthesis\.|noise_strength|resample_filter|to_?rgb|\.modulation\.")
OTHER_LAYERS = "StyleGAN2 of another layout: its layers (noise, toRGB, upsampling) are not ours, none can be taken over"
JUDGED = 1000  # poses behind the figures on the card
WAY_TO_SAVE = "{'generator': g.state_dict(), 'discriminator': d.state_dict(), 'beta': b.state_dict()}"

Tensors = dict[str, torch.Tensor]


def import_generator(
    weights: str | Path, config: str | Path, source: PoseSet, out_uri: str, attribution: str | None = None
) -> dict[str, Any]:
    """Make a model from state dicts of :class:`Generator`, :class:`Discriminator` and :class:`Beta`.

    Args:
        weights: ``.safetensors``, or what ``torch.save`` wrote: a dict of the three state dicts, or one with names such
            as ``generator.start``. ``source.*`` and ``gate.*`` in it are ignored and computed from ``source``.
        config: YAML or JSON with the arguments of ``generator``, ``discriminator``, ``beta`` and ``alpha``; or a
            ``model.json``, which has them under ``config``.
        source: the poses that the generator was trained on; their moments and limits belong to the model.
        out_uri: folder or ``s3://bucket/prefix`` of the model. If the same model is there already, it is kept.
        attribution: owner and licence of the source's data.

    Returns:
        The model's card, with ``beta_error_px`` (of beta on drawn source poses) and ``fd_source`` (of samples to source
        poses), which show whether the networks were trained on drawings like ours; and ``uri``, ``digest``.

    Raises:
        WeightsError: a file that cannot be read without running code, or a tensor that is missing, unknown, of another
            shape or type, or not finite; the error names it.
        ConfigError: a broken config, one whose parts do not fit together, or another model at ``out_uri``.
        DataError: fewer than two source poses.
    """
    parts, alpha = _read_config(str(config))
    if source.skeleton_name != alpha.skeleton_name:
        problem = f"the source poses are {source.skeleton.name}, alpha draws {alpha.skeleton.name}"
        raise ConfigError(str(config), problem, "give the poses that the generator was trained on")
    if len(source) < 2:
        raise DataError("source", "a covariance needs at least two poses", "give those that it was trained on")
    data = _read(str(weights))
    tensors = _tensors(data, str(weights))
    _check(tensors, parts, str(weights))
    for name, part in parts.items():
        of_part = {key.removeprefix(f"{name}."): t for key, t in tensors.items() if key.startswith(f"{name}.")}
        part.load_state_dict(of_part, assign=True)
        part.eval().requires_grad_(False)
    both_sides_NJ2 = with_mirrored(source.keypoints_NJ2, source.skeleton)
    card = {
        "attribution": attribution,
        "imported": {"file": Path(weights).name, "sha256": hashlib.sha256(data).hexdigest()},
        "poses": len(source),
        **_figures(parts["generator"], parts["beta"], alpha, both_sides_NJ2),
    }
    networks = Networks(**parts, alpha=alpha, source=moments(both_sides_NJ2))
    limits = PoseLimits.of(source.keypoints_NJ2, source.skeleton)
    store = open_store(out_uri)
    with tempfile.TemporaryDirectory(prefix="flexpose-") as folder:
        digest = save_generator(folder, networks, limits, card)
        if store.exists("model.json") and read_model(out_uri).digest != digest:
            raise ConfigError(out_uri, "holds another model", "choose another folder, or delete that one")
        copy_model(folder, store)
    return {**card, "uri": store.uri, "digest": digest}


def _read_config(path: str) -> tuple[dict[str, nn.Module], Alpha]:
    """The networks that the config describes, without memory for their weights, by name; and alpha."""
    try:
        found = yaml.safe_load(_read(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, or no such date
        raise ConfigError(path, f"broken YAML: {' '.join(str(error).split())}", "correct the file") from error
    sections = found.get("config", found) if isinstance(found, dict) else {}
    made = {}
    for name, kind in {**NETWORKS, "alpha": Alpha}.items():
        section = sections.get(name) if isinstance(sections, dict) else None
        if not isinstance(section, dict):
            raise ConfigError(path, f"no section {name}", f"it needs {', '.join([*NETWORKS, 'alpha'])}")
        try:
            with torch.device("meta"):
                made[name] = kind(**section)
        except (TypeError, ValueError, RuntimeError, ArithmeticError) as error:
            reason = str(error).splitlines()[0].replace(f"{kind.__name__}.__init__() got an ", "")
            raise ConfigError(path, f"{name}: {reason}", "give the arguments that it was trained with") from error
        except FlexPoseError as error:
            raise ConfigError(path, f"{name}: {error}") from error
    alpha = made.pop("alpha")
    wanted = {"size": alpha.size, "channels": alpha.channels, "joints": alpha.skeleton.n_joints}
    for name, part in made.items():
        for key in wanted.keys() & part.config.keys():
            if part.config[key] != wanted[key]:
                problem = f"{name}.{key} is {part.config[key]}, alpha's {key} is {wanted[key]}"
                raise ConfigError(path, problem, "give the arguments that it was trained with")
    if alpha.size < 16:
        raise ConfigError(path, f"alpha.size is {alpha.size}", "beta halves an image four times: 16 at least")
    return made, alpha


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(path, f"cannot be read: {error.strerror}", "give a file") from error


def _tensors(data: bytes, path: str) -> Tensors:
    """The tensors of the file by name, from however nested dicts."""
    if path.endswith(".safetensors"):
        return load_tensors(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # broken files raise all kinds
        raise WeightsError(path, _refusal(data, str(error)), f"save state dicts alone: {WAY_TO_SAVE}") from error
    try:
        return dict(_named(found, "", path))
    except RecursionError as error:
        raise WeightsError(path, "its dicts are nested too deeply", f"save state dicts alone: {WAY_TO_SAVE}") from error


def _named(value: Any, name: str, path: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor inside ``value``, named by the keys that lead to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _named(inner, f"{name}.{key}" if name else str(key), path)
    elif isinstance(value, torch.Tensor):
        yield name, value
    else:
        problem = f"{name or 'the file'} is {type(value).__name__}, not a tensor"
        raise WeightsError(path, problem, f"save state dicts alone: {WAY_TO_SAVE}")


def _refusal(data: bytes, reason: str) -> str:
    """Why PyTorch refused a file, without its advice to run the code inside."""
    if b"torch_utils.persistence" in data:
        return OTHER_LAYERS
    if "TorchScript" in reason:
        return "is a TorchScript program, not weights"
    if code := re.search(r"GLOBAL ([\w.]+)", reason):
        return f"holds code ({code[1]}), which is not run"
    return "is damaged, or not a weights file that can be read without running code"


def _check(tensors: Tensors, parts: dict[str, nn.Module], path: str) -> None:
    """Check that the file has exactly the tensors of the networks, each in the form that the network needs."""
    wanted = {f"{name}.{key}": t for name, part in parts.items() for key, t in part.state_dict().items()}
    unknown = sorted(key for key in tensors.keys() - wanted.keys() if not key.startswith(FROM_POSES))
    missing = sorted(wanted.keys() - tensors.keys())
    if missing and any(OTHER_STYLEGAN.search(key) for key in unknown):
        raise WeightsError(path, OTHER_LAYERS, "train one with `flexpose pretrain`")
    for problem, names in (("is missing", missing), ("is in no network of the config", unknown)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise WeightsError(path, f"{names[0]}{more} {problem}", f"save {WAY_TO_SAVE}")
    for key, want in wanted.items():
        have = tensors[key]
        if have.shape != want.shape:
            raise WeightsError(path, f"{key} has shape {tuple(have.shape)}, the config needs {tuple(want.shape)}")
        if have.dtype != want.dtype:
            raise WeightsError(path, f"{key} is {have.dtype}, expected {want.dtype}", "save it before rounding")
        if have.layout != torch.strided or have.device.type != "cpu":
            raise WeightsError(path, f"{key} is not a plain tensor", "save dense tensors with their values")
        if not have.isfinite().all():
            raise WeightsError(path, f"{key} holds NaN or infinity", "take an earlier checkpoint")


def _figures(generator: Generator, beta: Beta, alpha: Alpha, poses_NJ2: np.ndarray) -> dict[str, float]:
    """beta's error on drawings of source poses, and the distance of samples from the source."""
    sampler = StyleGanSampler(generator, beta, alpha)
    some_NJ2 = poses_NJ2[:: -(-len(poses_NJ2) // JUDGED)]
    read_NJ2, _ = sampler.read(alpha.draw(torch.as_tensor(some_NJ2)))
    samples_NJ2, _ = sampler.sample(0, np.arange(JUDGED))
    return {
        "beta_error_px": round(mean_joint_error(read_NJ2, some_NJ2) * alpha.size, 4),
        "fd_source": frechet_distance(samples_NJ2, poses_NJ2),
    }
