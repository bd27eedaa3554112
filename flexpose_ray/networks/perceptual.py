"""Gamma: the feature extractor behind the perceptual loss (paper eq. 5).

Gamma is a function from images (N, C, H, W) in [-1, 1] to a list of feature tensors, first axis N. The paper uses
VGG-16. The built-in alternatives were trained on the source's skeleton images and need no other weights.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator

Gamma = Callable[[torch.Tensor], list[torch.Tensor]]
BUILT_IN = ("beta", "discriminator", "keypoints", "pixels")

# VGG-16: output channels of its convolutions, "M" a pooling; features are read before every pooling.
VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")


def make_gamma(name: str, beta: Beta, discriminator: Discriminator) -> Gamma:
    """Make the feature extractor that ``name`` stands for.

    Args:
        name: "beta" or "discriminator" (their feature maps), "keypoints" (beta's output), "pixels", or a local file
            with VGG-16 weights in torchvision's names (.safetensors, or .pth read without pickled code).

    Raises:
        ConfigError: neither a name nor a file.
        WeightsError: the file holds no VGG-16.
    """
    if name == "beta":
        return beta.features
    if name == "discriminator":
        return discriminator.features
    if name == "keypoints":
        return lambda images: [beta(images)[0]]
    if name == "pixels":
        return lambda images: [images]
    if not Path(name).is_file():
        raise ConfigError("gamma", f"{name!r} is not a file", f"choose {', '.join(BUILT_IN)} or a VGG-16 weights file")
    return Vgg16(Path(name))


class Vgg16:
    """Features of VGG-16 before each of its five poolings, for images of 1 or 3 channels in [-1, 1]."""

    MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet in [0, 1]

    def __init__(self, file: Path):
        tensors = _read(file)
        self.convs: list[tuple[torch.Tensor, torch.Tensor] | None] = []
        index, before = 0, 3  # in torchvision's numbering, which counts activations and poolings too
        for width in VGG16:
            if width == "M":
                self.convs.append(None)
                index += 1
                continue
            try:
                weight, bias = tensors[f"features.{index}.weight"], tensors[f"features.{index}.bias"]
            except KeyError as error:
                raise WeightsError(
                    file, f"{error.args[0]} is missing", "give VGG-16 weights, torchvision's names"
                ) from None
            if (shape := tuple(weight.shape)) != (width, before, 3, 3) or bias.shape != (width,):
                raise WeightsError(file, f"features.{index} is {shape}, in VGG-16 it is {(width, before, 3, 3)}")
            self.convs.append((weight.float(), bias.float()))
            index, before = index + 2, width

    def __call__(self, images_NCHW: torch.Tensor) -> list[torch.Tensor]:
        mean, spread = (images_NCHW.new_tensor(v)[:, None, None] for v in (self.MEAN, self.SPREAD))
        x = ((images_NCHW + 1) / 2 - mean) / spread  # one channel becomes three here
        maps = []
        for conv in self.convs:
            if conv is None:
                maps.append(x)
                if min(x.shape[2:]) < 2:
                    break
                x = F.max_pool2d(x, 2)
            else:
                x = F.relu(F.conv2d(x, conv[0].to(x), conv[1].to(x), padding=1))
        return maps


def perceptual_distance(ours: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Mean squared distance of features, each map relative to the mean square of the wanted one; a scalar."""
    total = ours[0].new_zeros((), dtype=torch.float32)
    for a, b in zip(ours, wanted, strict=True):
        total = total + F.mse_loss(a.float(), b.float()) / b.float().square().mean().clamp_min(1e-8)
    return total / len(ours)


def _read(file: Path) -> dict[str, torch.Tensor]:
    try:
        if file.suffix == ".safetensors":
            return load_file(str(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        raise WeightsError(
            file, f"cannot be read as weights: {error.__class__.__name__}", "give a tensor file"
        ) from error
