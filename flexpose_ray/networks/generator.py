"""The pose generator g = phi(A(f(z))) of the paper's section 3.2: a StyleGAN2 without noise inputs.

Skeleton images have no texture for noise to explain, and without noise an image depends on its latent alone.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import torch
from torch import nn

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.ops import LRELU_GAIN, Linear, StyledConv, lrelu, upsample
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.pose_mapping import PoseMapping


def channels_at(resolution: int, base: int, most: int) -> int:
    """Feature channels at a resolution: ``base / resolution``, at most ``most``."""
    return min(most, max(1, base // resolution))


class Mapping(nn.Module):
    """f: latents to the intermediate latent space, with the running mean of w for truncation."""

    def __init__(self, z_size: int, w_size: int, depth: int):
        super().__init__()
        sizes = [z_size] + [w_size] * depth
        self.layers = nn.ModuleList(Linear(a, b, lr=0.01, gain=LRELU_GAIN) for a, b in itertools.pairwise(sizes))
        self.register_buffer("w_mean", torch.zeros(w_size))

    def forward(self, z_NZ: torch.Tensor) -> torch.Tensor:
        w = z_NZ * torch.rsqrt(z_NZ.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            w = lrelu(layer(w))
        return w


class Generator(nn.Module):
    """Latents to skeleton images.

    The convolutions are the style layers, counted from 1, coarse to fine: layer 1 at 4x4, then two per resolution, so
    layer 3 is the second convolution of 8x8. The first layer of a resolution runs before the upsampling, at a quarter
    of the cost. Each resolution also has an output layer with its own style.

    Args:
        size: side of the image, a power of two from 8 to 256.
        channels: image channels, 3 (one colour per limb) or 1.
        z_size, w_size: sizes of latent and intermediate latent.
        depth: layers of the classical mapping network.
        base, most: feature channels are ``min(most, base / resolution)``.
        shift: let a style shift a layer's output too, as in the paper's adaptive instance normalisation (StyleGAN,
            2018), rather than only scale its input. A style code holds the scales, then the shifts.
        teacher: config of a flow that decides a latent's pose: a :class:`PoseMapping`. None: the classical mapping.
        pose_mapping: width, hidden and depth of the network between poses and w, where there is a teacher.

    Raises:
        ConfigError: ``size`` is not such a power of two, or ``z_size`` is less than the flow's.
    """

    def __init__(
        self,
        size: int = 64,
        channels: int = 3,
        z_size: int = 128,
        w_size: int = 128,
        depth: int = 4,
        base: int = 1024,
        most: int = 128,
        shift: bool = False,
        teacher: dict[str, Any] | None = None,
        pose_mapping: tuple[int, ...] | list[int] = (256, 512, 3),
    ):
        super().__init__()
        if size not in (8, 16, 32, 64, 128, 256):
            raise ConfigError("size", f"{size} is not a power of two from 8 to 256", "choose 64 or 128")
        self.size, self.z_size = size, z_size
        self.config: dict[str, Any] = dict(
            size=size, channels=channels, z_size=z_size, w_size=w_size, depth=depth, base=base, most=most
        )
        if shift:
            self.config["shift"] = True
        resolutions = [2**k for k in range(2, int(math.log2(size)) + 1)]
        widths = [channels_at(r, base, most) for r in resolutions]
        if teacher is None:
            self.mapping = Mapping(z_size, w_size, depth)
        else:
            self.mapping = PoseMapping(z_size, w_size, teacher, pose_mapping)
            self.config |= dict(teacher=self.mapping.teacher.config, pose_mapping=list(pose_mapping))
        self.start = nn.Parameter(torch.randn(1, widths[0], 4, 4))
        self.convs = nn.ModuleList([StyledConv(widths[0], widths[0])])
        for n_in, n_out in itertools.pairwise(widths):
            self.convs += [StyledConv(n_in, n_out), StyledConv(n_out, n_out)]
        self.outputs = nn.ModuleList(StyledConv(n, channels, kernel=1, gain=1.0, demodulate=False) for n in widths)
        self.affines = nn.ModuleList(_affine(w_size, conv, shift) for conv in self.convs)
        self.output_affines = nn.ModuleList(Linear(w_size, n, bias=1.0) for n in widths)

    @staticmethod
    def taught_by(flow: PoseFlow, **config: Any) -> Generator:
        """An untrained generator whose latents have the flow's poses; ``config`` as above."""
        generator = Generator(**config, teacher=flow.config)
        generator.mapping.learn_from(flow)
        return generator

    @property
    def n_layers(self) -> int:
        """Number of style layers: 2 log2(size) - 3."""
        return len(self.convs)

    @property
    def style_sizes(self) -> list[int]:
        """Size C_l of every layer's style code, layer 1 first: its input channels, and with shifts its outputs too."""
        return [affine.weight.shape[0] for affine in self.affines]

    @property
    def w_size(self) -> int:
        return self.config["w_size"]

    def styles(self, w_ND: torch.Tensor) -> list[torch.Tensor]:
        """delta = A(f(z)): the style codes, one tensor (N, C_l) per style layer, layer 1 first."""
        return [affine(w_ND) for affine in self.affines]

    def synthesis(self, styles: list[torch.Tensor], w_ND: torch.Tensor | list[torch.Tensor]) -> torch.Tensor:
        """phi: style codes to images (N, C, H, W), about [-1, 1].

        Args:
            styles: of the style layers, layer 1 first.
            w_ND: styles the output layers; or one w for each of these, coarsest first.
        """
        ws = w_ND if isinstance(w_ND, list) else [w_ND] * len(self.outputs)
        x = self.start.expand(styles[0].shape[0], -1, -1, -1).contiguous(memory_format=torch.channels_last)
        image = None
        layer = 0
        for k, (output, affine) in enumerate(zip(self.outputs, self.output_affines, strict=True)):
            if k:
                x = upsample(lrelu(self.convs[layer](x, styles[layer])))
                layer += 1
            x = lrelu(self.convs[layer](x, styles[layer]))
            layer += 1
            y = output(x, affine(ws[k]))
            image = y if image is None else upsample(image) + y
        return image

    def forward(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """Latents (N, Z) to images (N, C, H, W)."""
        w_ND = self.mapping(z_NZ)
        return self.synthesis(self.styles(w_ND), w_ND)

    def start_from(self, other: Generator) -> None:
        """Take over the synthesis weights of another generator, and its affines where their shapes agree.

        Raises:
            ConfigError: its images or feature channels are different ones.
        """
        keys = ("size", "channels", "base", "most")
        if apart := [key for key in keys if self.config[key] != other.config[key]]:
            (key, *_) = apart
            problem = f"{key} is {other.config[key]} there and {self.config[key]} here"
            raise ConfigError("start", problem, f"choose a StyleGAN of the same {', '.join(keys)}, or set these alike")
        mine = self.state_dict()
        parts = ("start", "convs.", "outputs.", "affines.", "output_affines.")
        theirs = {name: t for name, t in other.state_dict().items() if name.startswith(parts)}
        self.load_state_dict(mine | {name: t for name, t in theirs.items() if t.shape == mine[name].shape})


def _affine(w_size: int, conv: StyledConv, shift: bool) -> Linear:
    """The map from w to a layer's style code: scales about 1, and shifts about 0 where wanted."""
    n_out, n_in = conv.weight.shape[:2]
    affine = Linear(w_size, n_in + n_out if shift else n_in, bias=1.0)
    affine.bias.data[n_in:] = 0.0
    return affine
