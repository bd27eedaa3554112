"""The modules to export: generator, beta, and both in sequence, each with one input of any batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.sampler import StyleGanSampler

Read = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
BATCH = "N"  # the batch size in shapes
PIXELS = {3: "RGB, about -1 to 1", 1: "grey, about -1 to 1"}


@dataclass(frozen=True)
class Network:
    """One network to export.

    Attributes:
        name: of its file.
        module: maps the input to the outputs, in order.
        input, outputs: ``name``, ``shape`` and ``values`` (their meaning) of each; all are float32.
    """

    name: str
    module: nn.Module
    input: dict[str, Any]
    outputs: tuple[dict[str, Any], ...]

    def example(self, n: int) -> torch.Tensor:
        """A random input of ``n`` rows."""
        rng = torch.Generator().manual_seed(n)
        return torch.randn(n, *self.input["shape"][1:], generator=rng)


class Drawing(nn.Module):
    """Latents to images, through tau where the model is adapted."""

    def __init__(self, sampler: StyleGanSampler):
        super().__init__()
        self.generator, self.transfer, self._draw = sampler.generator, sampler.transfer, sampler.images

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return self._draw(z)


class Reading(nn.Module):
    """Images to keypoints and confidence."""

    def __init__(self, beta: Beta, read: Read):
        super().__init__()
        self.beta, self._read = beta, read

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._read(self.beta.heatmaps(image))


class Sampling(nn.Module):
    """Latents, followed by the blend's numbers where the model has a blend, to keypoints and confidence."""

    def __init__(self, drawing: Drawing, reading: Reading, sampler: StyleGanSampler):
        super().__init__()
        self.drawing, self.reading = drawing, reading
        self._z_size, self._apply_blend = sampler.generator.z_size, sampler.apply_blend

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._apply_blend(*self.reading(self.drawing(z[:, : self._z_size])), z)


def networks(sampler: StyleGanSampler, read: Read) -> tuple[Network, Network, Network]:
    """Generator, beta and sampler of a model.

    Args:
        sampler: the model.
        read: reads heatmaps: ``read_heatmaps`` of networks/beta.py, or its scripted form.
    """
    alpha, joints = sampler.alpha, sampler.alpha.skeleton.n_joints
    z, numbers = (
        _port("z", [size], "standard normal, independent") for size in (sampler.generator.z_size, sampler.numbers)
    )
    image = _port("image", [alpha.channels, alpha.size, alpha.size], PIXELS[alpha.channels])
    keypoints = _port("keypoints", [joints, 2], "x to the right and y down, 0 to 1 from edge to edge of the square")
    confidence = _port("confidence", [joints], "0 to 1")
    drawing, reading = Drawing(sampler), Reading(sampler.beta, read)
    sampling = Sampling(drawing, reading, sampler)
    return (
        Network("generator", drawing.eval(), z, (image,)),
        Network("beta", reading.eval(), image, (keypoints, confidence)),
        Network("sampler", sampling.eval(), numbers, (keypoints, confidence)),
    )


def _port(name: str, shape: list[int], values: str) -> dict[str, Any]:
    return {"name": name, "shape": [BATCH, *shape], "values": values}
