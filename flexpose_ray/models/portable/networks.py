"""The modules to export, each with one input of any batch size: of a StyleGAN generator, beta, and both in sequence; of
a flow the sampler alone, since there are no images between latents and poses; of a detector what reads a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.picture_reader import PictureReader
from flexpose_ray.networks.pose_flow import PoseFlow, PoseStudent
from flexpose_ray.networks.pose_mapping import TEACHER_KEYS
from flexpose_ray.networks.sampler import FlowSampler, PoseSampler, StyleGanSampler

Read = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
BATCH = "N"  # the batch size in shapes
PLACES = "x to the right and y down, 0 to 1 from edge to edge of the square"
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
    """Latents, followed by the blend's numbers where the model has a blend, to keypoints and confidence.

    Args:
        generator: latents to keypoints and confidence.
        sampler: the model.
    """

    def __init__(self, generator: nn.Module, sampler: PoseSampler):
        super().__init__()
        self.generator, self.transfer = generator, sampler.transfer
        self._z_size, self._apply_blend = sampler.z_size, sampler.apply_blend

    def forward(self, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self._apply_blend(*self.generator(z[:, : self._z_size]), z)


class Detecting(nn.Module):
    """Pictures to keypoints, and the skeleton images in between."""

    def __init__(self, reader: PictureReader):
        super().__init__()
        self.skeletonizer, self.regressor = reader.skeletonizer, reader.regressor

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        skeleton = self.skeletonizer(picture)
        return self.regressor(skeleton), skeleton


def detector_networks(reader: PictureReader) -> tuple[Network, ...]:
    """The one network of a detector."""
    alpha = reader.alpha
    picture = _port("picture", [3, reader.size, reader.size], f"{PIXELS[3]}; one subject, whole, in a square")
    keypoints = _port("keypoints", [alpha.skeleton.n_joints, 2], PLACES)
    skeleton = _port("skeleton", [alpha.channels, alpha.size, alpha.size], PIXELS[alpha.channels])
    return (Network("detector", Detecting(reader).eval(), picture, (keypoints, skeleton)),)


def networks(sampler: PoseSampler, read: Read) -> tuple[Network, ...]:
    """Generator, beta and sampler of a model whose generator is a StyleGAN; the sampler of one whose is a flow.

    Args:
        sampler: the model.
        read: reads heatmaps: ``read_heatmaps`` of networks/beta.py, or its scripted form. A flow has none.
    """
    joints = sampler.alpha.skeleton.n_joints
    keypoints = _port("keypoints", [joints, 2], PLACES)
    confidence = _port("confidence", [joints], "0 to 1")
    numbers = _port("z", [sampler.numbers], "standard normal, independent")
    if isinstance(sampler, FlowSampler):
        of_flow = Sampling(_student(sampler.flow), sampler)
        return (Network("sampler", of_flow.eval(), numbers, (keypoints, confidence)),)
    alpha, z = sampler.alpha, _port("z", [sampler.z_size], "standard normal, independent")
    image = _port("image", [alpha.channels, alpha.size, alpha.size], PIXELS[alpha.channels])
    drawing, reading = Drawing(sampler), Reading(sampler.beta, read)
    sampling = Sampling(nn.Sequential(drawing, reading), sampler)
    return (
        Network("generator", drawing.eval(), z, (image,)),
        Network("beta", reading.eval(), image, (keypoints, confidence)),
        Network("sampler", sampling.eval(), numbers, (keypoints, confidence)),
    )


def _student(flow: PoseFlow) -> PoseStudent:
    """The flow's student alone, so that the velocity field is in no file."""
    student = PoseStudent(**{key: flow.config[key] for key in TEACHER_KEYS})
    weights = flow.state_dict()
    student.load_state_dict({name: weights[name] for name in student.state_dict()})
    return student.requires_grad_(False)


def _port(name: str, shape: list[int], values: str) -> dict[str, Any]:
    return {"name": name, "shape": [BATCH, *shape], "values": values}
