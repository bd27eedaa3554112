"""Generator, beta and discriminator as adaptation runs them: gradients pass through, their own weights stay.

All that depends on weights alone is computed once, and every pass over maps that a constant can absorb is left out. The
values are those of the networks up to rounding. `inference.py` goes further where no gradients are wanted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator, batch_spread
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.ops import LRELU_GAIN, Conv, lrelu, upsample


class Held(NamedTuple):
    """What a style layer, counted from 1, finds: the maps of the layer below, and the image so far."""

    layer: int
    x_NCHW: torch.Tensor
    image_NOHW: torch.Tensor

    def take(self, rows: torch.Tensor) -> Held:
        return Held(self.layer, self.x_NCHW[rows], self.image_NOHW[rows])


class GuidedGenerator:
    """phi of a generator, differentiable in style codes and w.

    Demodulation divides by a norm r > 0, which goes through the leaky ReLU into the style of the next layer,
    lrelu(y / r + b) = lrelu(y + b r) / r. Styles scale maps before they are doubled, and an output layer's style its
    weights instead of its maps.

    Args:
        generator: g_s, on its device.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator):
        self.affines = generator.output_affines
        weights = [conv.weight * conv.scale for conv in generator.convs]
        self.energies_IO = [weight.square().sum((2, 3)).T.contiguous() for weight in weights]
        self.biases_O = [conv.bias for conv in generator.convs]
        # The first layer's input is a constant times a style, so that its output is a matrix times the style.
        patches_CKP = F.unfold(generator.start.transpose(0, 1), 3, padding=1)
        self.first = torch.einsum("cpx,ocp->cxo", patches_CKP, weights[0].flatten(2)).flatten(1)
        self.kernels = [weight.contiguous(memory_format=torch.channels_last) for weight in weights[1:]]
        self.colors_IO = [(o.weight[:, :, 0, 0] * o.scale).T.contiguous() for o in generator.outputs]
        self.background_O11 = sum(o.bias for o in generator.outputs)[:, None, None]  # doubling keeps a constant

    def __call__(self, styles: list[torch.Tensor], w_ND: torch.Tensor, held: Held | None = None) -> torch.Tensor:
        """Style codes to images (N, O, H, W); from ``held`` on, where that is given."""
        return self._run(styles, w_ND, held, len(styles)).image_NOHW

    def below(self, layer: int, styles: list[torch.Tensor], w_ND: torch.Tensor) -> Held:
        """What style layer ``layer``, from 2, finds; it depends on the styles of the layers below alone."""
        return self._run(styles, w_ND, None, layer - 1)

    def _run(self, styles: list[torch.Tensor], w_ND: torch.Tensor, held: Held | None, end: int) -> Held:
        norms = [(s.square() @ e + 1e-8).sqrt() for s, e in zip(styles, self.energies_IO, strict=True)]
        factors = [LRELU_GAIN / norm for norm in norms]
        shifts = [(norm * b)[:, :, None, None] for norm, b in zip(norms, self.biases_O, strict=True)]
        colors = [
            (affine(w_ND) * factor)[:, :, None] * color
            for affine, factor, color in zip(self.affines, factors[::2], self.colors_IO, strict=True)
        ]
        if held is None:
            x = (styles[0] @ self.first).view(len(w_ND), 4, 4, -1).permute(0, 3, 1, 2)
            x = F.leaky_relu_(x + shifts[0], 0.2)
            image = _paint(x, colors[0]) + self.background_O11
        else:
            x, image = held.x_NCHW, held.image_NOHW
        for layer in range(held.layer - 1 if held else 1, end):  # from 0 here
            x = x * (styles[layer] * factors[layer - 1])[:, :, None, None]
            if layer % 2 == 0:
                x = upsample(x)
            y = F.conv2d(x, self.kernels[layer - 1], padding=1)
            x = F.leaky_relu_(y.add_(shifts[layer]), 0.2)
            if layer % 2 == 0:
                image = upsample(image) + _paint(x, colors[layer // 2])
        return Held(end + 1, x, image)


def _paint(x_NCHW: torch.Tensor, colors_NCO: torch.Tensor) -> torch.Tensor:
    """An output layer, its weights modulated; maps and image are channels_last."""
    n, c, h, w = x_NCHW.shape
    pixels_NPO = x_NCHW.permute(0, 2, 3, 1).reshape(n, h * w, c) @ colors_NCO
    return pixels_NPO.view(n, h, w, -1).permute(0, 3, 1, 2)


class GuidedBeta:
    """Keypoints (N, J, 2) off images, by beta with its batch normalisation folded into the convolutions.

    Args:
        beta: in evaluation mode, on its device.
    """

    @torch.no_grad()
    def __init__(self, beta: Beta):
        blocks = ("down2", "down4", "down8", "bottom", "up8", "up4", "up2")
        self.convs = {name: _folded(getattr(beta, name)) for name in blocks}
        self.heat_CJ, self.heat_J = beta.heat.weight[:, :, 0, 0].T.contiguous(), beta.heat.bias

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        at2 = self._block("down2", images_NCHW.contiguous(memory_format=torch.channels_last), 2)
        at4 = self._block("down4", at2, 2)
        at8 = self._block("down8", at4, 2)
        x = self._block("up8", upsample(self._block("bottom", at8, 2)) + at8)
        x = self._block("up4", upsample(x)) + at4
        x = self._block("up2", upsample(x)) + at2
        n, c, h, w = x.shape
        heat_NPJ = x.permute(0, 2, 3, 1).reshape(n, h * w, c) @ self.heat_CJ + self.heat_J
        at_W, at_H = ((torch.arange(k, device=x.device) + 0.5) / k for k in (w, h))
        pixels_P2 = torch.stack([at_W.repeat(h), at_H.repeat_interleave(w)], 1)
        return heat_NPJ.transpose(1, 2).softmax(2) @ pixels_P2

    def _block(self, name: str, x_NCHW: torch.Tensor, stride: int = 1) -> torch.Tensor:
        """Convolutions with ReLU, the first of them with the stride."""
        for weight, bias in self.convs[name]:
            x_NCHW = F.relu_(F.conv2d(x_NCHW, weight, bias, stride=stride, padding=1))
            stride = 1
        return x_NCHW


def _folded(block: nn.Sequential) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Kernels and biases of the convolutions in a block, each with the batch normalisation after it."""
    if isinstance(block[0], nn.Sequential):
        return [pair for part in block for pair in _folded(part)]
    conv, norm, _ = block
    factor_O = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    kernel = (conv.weight * factor_O[:, None, None, None]).contiguous(memory_format=torch.channels_last)
    return [(kernel, norm.bias - norm.running_mean * factor_O)]


class GuidedDiscriminator:
    """Logits (N,) of images, by a discriminator whose weights are scaled once.

    Args:
        discriminator: on its device.
    """

    @torch.no_grad()
    def __init__(self, discriminator: Discriminator):
        self.enter = _scaled(discriminator.enter)
        self.blocks = [[_scaled(c) for c in (b.first, b.second, b.skip)] for b in discriminator.blocks]
        self.discriminator = discriminator

    def __call__(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        x = F.leaky_relu_(F.conv2d(images_NCHW.contiguous(memory_format=torch.channels_last), *self.enter), 0.2)
        for first, second, skip in self.blocks:
            y = F.avg_pool2d(F.leaky_relu_(F.conv2d(x, *first, padding=1), 0.2), 2)
            x = F.leaky_relu_(F.conv2d(y, *second, padding=1), 0.2) + F.conv2d(F.avg_pool2d(x, 2), *skip)
        end = self.discriminator
        x = lrelu(end.last(batch_spread(x)))
        return end.logit(lrelu(end.hidden(x.flatten(1)))).squeeze(1)


def _scaled(conv: Conv) -> tuple[torch.Tensor, torch.Tensor | None]:
    kernel = (conv.weight * conv.scale).contiguous(memory_format=torch.channels_last)
    return kernel, None if conv.bias is None else conv.bias * conv.gain
