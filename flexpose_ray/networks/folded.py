"""Generator and beta in the form that sampling runs: constants folded once, convolutions in the forms of `fastconv`.

This is the only second form of a network. It computes what the network computes, up to rounding, with the weights that
the network had when the folded form was built; it records no gradients. The bytes of data sets depend on the order of
its operations. Training and adaptation run the networks themselves: with folded constants a step of adaptation was only
1.07 to 1.09 times as fast.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from flexpose_ray.networks.beta import Beta, read_heatmaps
from flexpose_ray.networks.fastconv import Conv, doubling, fast_conv
from flexpose_ray.networks.generator import Generator, Mapping
from flexpose_ray.networks.ops import LRELU_GAIN, Linear, lrelu, upsample
from flexpose_ray.networks.pose_mapping import PoseMapping
from flexpose_ray.networks.transfer import Transfer, W

CHUNK = 32  # images that pass through the layers together; more would evict each other's maps from a core's cache


class FoldedGenerator:
    """g_t = phi(tau(A(f(z)))): latents to images.

    Demodulation divides by a norm r > 0. Since lrelu(y / r + b) = lrelu(y + b r) / r, the division moves into the style
    of the next layer, and a layer is a product, a convolution and a sum. One matrix gives all styles.

    Args:
        generator: g_s.
        transfer: tau; None is the identity.
    """

    @torch.no_grad()
    def __init__(self, generator: Generator, transfer: Transfer | None = None):
        self.mapping = _mapping(generator.mapping)
        self.styles = _styles(generator, transfer)
        self.shifted = generator.config.get("shift", False)
        weights = [conv.weight * conv.scale for conv in generator.convs]
        self.energies_IO = [weight.square().sum((2, 3)).T.contiguous() for weight in weights]
        self.inputs, self.outputs = zip(*(e.shape for e in self.energies_IO), strict=True)
        self.bias_C = torch.cat([conv.bias for conv in generator.convs])
        # The first layer's input is a constant times a style, so its output is a matrix times the style.
        windows_CKP = F.unfold(generator.start.transpose(0, 1), 3, padding=1)
        self.first = torch.einsum("ckp,ock->cpo", windows_CKP, weights[0].flatten(2)).flatten(1)
        self.convs = [
            fast_conv(weight, None, side=4 * 2 ** (layer // 2), doubled=layer % 2 == 1)
            for layer, weight in enumerate(weights[1:])
        ]
        self.colors_OC = [o.weight[:, :, 0, 0] * o.scale for o in generator.outputs]
        self.background_O11 = sum(o.bias for o in generator.outputs)[:, None, None]  # doubling keeps a constant

    def __call__(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """Latents (N, Z) to images (N, C, H, W)."""
        chunks = zip(*(t.split(CHUNK) for t in self.modulation(z_NZ)), strict=True)
        return torch.cat([self.synthesis(*chunk) for chunk in chunks])

    def modulation(self, z_NZ: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Factors on the input and shifts of the output of every layer, and factors on the output layers' inputs."""
        weight, bias = self.styles
        sizes = [sum(self.inputs), sum(self.outputs) if self.shifted else 0, sum(self.outputs[::2])]
        scale_NC, shift_NC, colors_NC = torch.addmm(bias, self.mapping(z_NZ), weight).split(sizes, 1)
        squares = scale_NC.square().split(self.inputs, 1)
        norm_NC = torch.cat([s @ e for s, e in zip(squares, self.energies_IO, strict=True)], 1).add_(1e-8).sqrt_()
        factor_NC = LRELU_GAIN / norm_NC
        scale_NC[:, self.inputs[0] :] *= factor_NC[:, : -self.outputs[-1]]
        colors_NC *= torch.cat(factor_NC.split(self.outputs, 1)[::2], 1)
        bias_NC = self.bias_C + shift_NC if self.shifted else self.bias_C
        return scale_NC, norm_NC * bias_NC, colors_NC

    def synthesis(self, scale_NC: torch.Tensor, shift_NC: torch.Tensor, colors_NC: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) from the results of :meth:`modulation`."""
        scales = scale_NC[..., None, None].split(self.inputs, 1)
        shifts = shift_NC[..., None, None].split(self.outputs, 1)
        colors = [a * b for a, b in zip(colors_NC[:, None].split(self.outputs[::2], 2), self.colors_OC, strict=True)]
        x = (scales[0].flatten(1) @ self.first).view(len(scale_NC), 4, 4, -1).permute(0, 3, 1, 2)
        x = F.leaky_relu_(x.add_(shifts[0]), 0.2)
        image = _paint(x, colors[0]).add_(self.background_O11)
        for layer, conv in enumerate(self.convs, start=1):
            x = F.leaky_relu_(conv(x.mul_(scales[layer])).add_(shifts[layer]), 0.2)
            if layer % 2 == 0:
                image = _add_doubled(_paint(x, colors[layer // 2]), image)
        return image


def _paint(x_NCHW: torch.Tensor, colors_NOC: torch.Tensor) -> torch.Tensor:
    """An output layer with modulated weights, which is less work than modulating the maps."""
    return (colors_NOC @ x_NCHW.flatten(2)).unflatten(2, x_NCHW.shape[2:])


def _add_doubled(image_NOHW: torch.Tensor, half_NOHW: torch.Tensor) -> torch.Tensor:
    """Add an image of half the size, upsampled, in place."""
    double = doubling(half_NOHW.shape[2], half_NOHW.device)
    rows = (half_NOHW @ double.T).flatten(0, 1)
    image_NOHW.flatten(0, 1).baddbmm_(double.expand(len(rows), -1, -1), rows)
    return image_NOHW


def _affine(layer: Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's matrix (inputs, outputs) and bias."""
    return (layer.weight * layer.weight_scale).T.contiguous(), layer.bias * layer.bias_scale


def _mapping(mapping: Mapping | PoseMapping) -> Callable[[torch.Tensor], torch.Tensor]:
    """f with the weights that it has now: latents to w."""
    if isinstance(mapping, PoseMapping):
        return copy.deepcopy(mapping)
    layers = [_affine(layer) for layer in mapping.layers]

    def f(z_NZ: torch.Tensor) -> torch.Tensor:
        w = z_NZ * torch.rsqrt(z_NZ.square().mean(1, keepdim=True) + 1e-8)
        for weight, bias in layers:
            w = lrelu(torch.addmm(bias, w, weight))
        return w

    return f


def _styles(generator: Generator, transfer: Transfer | None) -> tuple[torch.Tensor, torch.Tensor]:
    """One matrix (inputs, outputs) and bias for tau(A(w)): all layers' scales, then all their shifts where they have
    them, and A(w) of the output layers."""
    maps = transfer.maps if transfer else {}
    affines = [_affine(layer) for layer in (*generator.affines, *generator.output_affines)]
    for layer in range(generator.n_layers):
        if (name := str(layer + 1)) in maps:
            weight, bias = affines[layer]
            affines[layer] = weight @ maps[name].weight.T, maps[name](bias)
    cuts = [conv.weight.shape[1] for conv in (*generator.convs, *generator.outputs)]
    weight, bias = (_scales_first(parts, cuts, generator.n_layers) for parts in zip(*affines, strict=True))
    if W in maps:
        shift = 0 if maps[W].bias is None else maps[W].bias @ weight
        weight, bias = maps[W].weight.T @ weight, bias + shift
    return weight, bias


def _scales_first(parts: tuple[torch.Tensor, ...], cuts: list[int], layers: int) -> torch.Tensor:
    """Columns of the affines in the order: scales of the style layers, their shifts, all of the output layers."""
    scales, shifts = zip(*(part.tensor_split([cut], -1) for part, cut in zip(parts, cuts, strict=True)), strict=True)
    return torch.cat([*scales[:layers], *shifts[:layers], *scales[layers:]], -1)


class FoldedBeta:
    """beta with batch normalisation folded into the convolutions: images to keypoints_NJ2 and confidence_NJ.

    Args:
        beta: in evaluation mode.
        size: side of the images.
    """

    @torch.no_grad()
    def __init__(self, beta: Beta, size: int):
        self.down2 = [_halving(beta.down2)]
        self.down4 = [_halving(beta.down4[0]), fast_conv(*_fold(beta.down4[1]), size // 4)]
        self.down8 = [_halving(beta.down8[0]), fast_conv(*_fold(beta.down8[1]), size // 8)]
        self.bottom = [_halving(beta.bottom[0]), fast_conv(*_fold(beta.bottom[1]), size // 16)]
        self.up8 = [fast_conv(*_fold(beta.up8), size // 8)]
        self.up4 = [fast_conv(*_fold(beta.up4), size // 8, doubled=True)]
        self.up2 = [fast_conv(*_fold(beta.up2), size // 4, doubled=True)]
        self.heat = beta.heat.weight.clone(), beta.heat.bias.clone()

    def __call__(self, images_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """keypoints_NJ2, crop units, and confidence_NJ, as :class:`Beta` returns them."""
        found = zip(*(self._read(images) for images in images_NCHW.split(CHUNK)), strict=True)
        keypoints_NJ2, confidence_NJ = (torch.cat(part) for part in found)
        return keypoints_NJ2, confidence_NJ

    def _read(self, images_NCHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        at2 = _run(self.down2, images_NCHW.contiguous(memory_format=torch.channels_last))
        at4 = _run(self.down4, at2)
        at8 = _run(self.down8, at4)
        x = _run(self.up8, upsample(_run(self.bottom, at8)).add_(at8))
        x = _run(self.up4, x).add_(at4)
        x = _run(self.up2, x).add_(at2)
        return read_heatmaps(F.conv2d(x, *self.heat))


def _run(convs: list[Conv], x_NCHW: torch.Tensor) -> torch.Tensor:
    for conv in convs:
        x_NCHW = F.relu_(conv(x_NCHW))
    return x_NCHW


def _halving(block: nn.Sequential) -> Conv:
    weight, bias = _fold(block)
    return partial(F.conv2d, weight=weight, bias=bias, stride=2, padding=1)


def _fold(block: nn.Sequential) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernels and bias of a convolution together with the batch normalisation after it."""
    conv, norm, _ = block
    factor_O = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return conv.weight * factor_O[:, None, None, None], norm.bias - norm.running_mean * factor_O
