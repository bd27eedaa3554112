"""Layers of StyleGAN2 (Karras et al., 2020) in plain PyTorch, in forms that are fast without a compiled extension.

Modulation scales the input and demodulation the output of one ordinary convolution, which equals the grouped
convolution of the paper; upsampling follows the convolution, downsampling precedes it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

LRELU_GAIN = math.sqrt(2)  # keeps the variance through a leaky ReLU of slope 0.2


def lrelu(x: torch.Tensor) -> torch.Tensor:
    """Leaky ReLU of slope 0.2; the layer before it applies LRELU_GAIN, where the factor is free."""
    return F.leaky_relu(x, 0.2)


def upsample(x_NCHW: torch.Tensor) -> torch.Tensor:
    """Double height and width, bilinear."""
    return F.interpolate(x_NCHW, scale_factor=2, mode="bilinear", align_corners=False)


class Linear(nn.Module):
    """Fully connected layer with equalised learning rate: weights are stored at unit variance, scaled when used."""

    def __init__(self, n_in: int, n_out: int, bias: float = 0.0, lr: float = 1.0, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in) / lr)
        self.bias = nn.Parameter(torch.full((n_out,), bias / lr))
        self.weight_scale, self.bias_scale = gain * lr / math.sqrt(n_in), gain * lr

    def forward(self, x_ND: torch.Tensor) -> torch.Tensor:
        return F.linear(x_ND, self.weight * self.weight_scale, self.bias * self.bias_scale)


class Conv(nn.Module):
    """Convolution of odd kernel with equalised learning rate, same padding."""

    def __init__(self, n_in: int, n_out: int, kernel: int, bias: bool = True, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None
        self.scale, self.gain, self.padding = gain / math.sqrt(n_in * kernel**2), gain, kernel // 2

    def forward(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        bias = None if self.bias is None else self.bias * self.gain
        return F.conv2d(x_NCHW, self.weight * self.scale, bias, padding=self.padding)


class StyledConv(nn.Module):
    """Convolution whose input channels are scaled by a style and whose output is normalised to unit variance.

    A style code of ``n_in + n_out`` numbers also shifts the output: the last ``n_out`` are added to the bias.

    Args:
        gain: factor on the output, bias included.
        demodulate: divide every output channel by the norm of its modulated weights.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, gain: float = LRELU_GAIN, demodulate: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_out, n_in, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(n_out))
        self.scale, self.gain, self.padding = 1 / math.sqrt(n_in * kernel**2), gain, kernel // 2
        self.demodulate = demodulate
        if not demodulate:  # demodulation would cancel a factor on the weights
            self.scale *= gain

    def forward(self, x_NCHW: torch.Tensor, style_NC: torch.Tensor) -> torch.Tensor:
        weight = self.weight * self.scale
        style_NC, shift_NO = style_NC.tensor_split([self.weight.shape[1]], 1)
        y = F.conv2d(x_NCHW * style_NC[:, :, None, None].to(x_NCHW.dtype), weight, padding=self.padding)
        bias_C11 = (self.bias * self.gain)[:, None, None].to(y.dtype)
        if shift_NO.shape[1]:
            bias_C11 = bias_C11 + (shift_NO * self.gain)[:, :, None, None].to(y.dtype)
        if not self.demodulate:
            return y + bias_C11
        energy_NO = style_NC.float().square() @ weight.float().square().sum((2, 3)).T
        factor_NO = torch.rsqrt(energy_NO + 1e-8) * self.gain
        return torch.addcmul(bias_C11, y, factor_NO[:, :, None, None].to(y.dtype))
