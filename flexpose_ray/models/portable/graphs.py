"""Networks to bytes of ONNX and TorchScript, and running such bytes, to check that they compute the same."""

from __future__ import annotations

import io
import logging
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.models.portable.networks import BATCH, Network

OPSET = 18  # ONNX Runtime 1.14 (2023) and later
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TRACED = 2  # rows of the traced example; with one row the tracer would treat the batch size as a constant


def need_onnx() -> None:
    """Check that the packages for ONNX are installed.

    Raises:
        ConfigError: one is missing.
    """
    if missing := [name for name in ONNX_PACKAGES if find_spec(name) is None]:
        raise ConfigError("onnx", f"needs {', '.join(missing)}", "pip install 'flexpose-ray[portable]'")


def to_onnx(network: Network, about: dict[str, str]) -> bytes:
    """The network as one ONNX file; the bytes are the same for the same torch, onnx and onnxscript.

    Args:
        network: the network to write.
        about: metadata of the file.
    """
    import onnx

    with _quiet():
        program = torch.onnx.export(
            network.module,
            (network.example(TRACED),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[network.input["name"]],
            output_names=[port["name"] for port in network.outputs],
            dynamic_shapes=({0: torch.export.Dim(BATCH)},),
        )
    model = program.model_proto
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")  # paths of the code on this machine
    onnx.helper.set_model_props(model, about)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def to_torchscript(network: Network) -> bytes:
    """The network as a TorchScript archive, which can be moved to other devices.

    Type names inside are numbered within a process, so a second export from the same process has other bytes.
    """
    with _quiet(), torch.inference_mode(False):
        traced = torch.jit.trace(network.module, network.example(TRACED), check_trace=False)
        file = io.BytesIO()
        torch.jit.save(traced, file)
    return _without_debug(file.getvalue())


def run_onnx(data: bytes, x: torch.Tensor) -> list[torch.Tensor]:
    """The outputs of ONNX Runtime for ``x``, on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return [torch.as_tensor(y) for y in session.run(None, {session.get_inputs()[0].name: x.numpy()})]


@torch.inference_mode()
def run_torchscript(data: bytes, x: torch.Tensor) -> list[torch.Tensor]:
    """The archive's outputs for ``x``, on the CPU."""
    with _quiet():
        found = torch.jit.load(io.BytesIO(data))(x)
    return list(found) if isinstance(found, tuple) else [found]


def _without_debug(archive: bytes) -> bytes:
    """The archive without its debug tables, which hold paths of this machine."""
    kept = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(kept, "w") as new:
        for name in old.namelist():
            if not name.endswith((".debug_pkl", "/serialization_id")):
                new.writestr(zipfile.ZipInfo(name), old.read(name))
    return kept.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporters' warnings about packages that we do not use and about deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
