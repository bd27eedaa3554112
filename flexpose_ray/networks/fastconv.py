"""3x3 convolutions with zero padding that need a quarter of the multiplications, equal to plain ones up to rounding.

For sampling only: weights are transformed once, which training would have to repeat at every step. `make bench` prints
their speed against plain convolutions: they gain where multiplying is slow, and about nothing (0.95 to 1.02) on a core
with AVX-512. They round differently, so the bytes of data sets depend on them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

TILE = 4  # side of TiledConv's output tiles
LARGEST_TILED = 8  # largest map side for TiledConv: beyond it, transforming the pixels costs more than it saves
POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))  # of interpolation, with infinity; chosen for least rounding
DOUBLING_TAPS = (0.25, 0.75, 0.75, 0.25)  # bilinear doubling as a filter on the fine grid

Conv = Callable[[torch.Tensor], torch.Tensor]


def fast_conv(weight_OIKK: torch.Tensor, bias_O: torch.Tensor | None, side: int, doubled: bool = False) -> Conv:
    """The fastest form of a convolution for square maps of one size, as a function of maps (N, C, H, W).

    Args:
        weight_OIKK: 3x3 kernels.
        bias_O: added to the result.
        side: side of the input maps.
        doubled: upsample the input first, bilinear.
    """
    if side <= LARGEST_TILED and side * (1 + doubled) % TILE == 0:
        return TiledConv(weight_OIKK, bias_O, side, doubled)
    if doubled:
        return DoublingConv(weight_OIKK, bias_O)
    weight = weight_OIKK.contiguous(memory_format=torch.channels_last)
    return partial(F.conv2d, weight=weight, bias=bias_O, padding=1)


class TiledConv:
    """Minimal filtering F(4x4, 3x3) (Winograd; Lavin and Gray, 2016) of small maps, which may be doubled first.

    Pixels come first in memory, so that every mix of pixels, doubling and padding included, is one small matrix per
    axis.
    """

    def __init__(self, weight_OIKK: torch.Tensor, bias_O: torch.Tensor | None, side: int, doubled: bool):
        device = weight_OIKK.device
        self.side, self.tiles, self.bias_O = side, side * (1 + doubled) // TILE, bias_O
        interpolate, evaluate = (_float(matrix, device) for matrix in _toom_cook()[:2])
        self.gather, self.interpolate = _gather(side, doubled, device), interpolate
        weight = torch.einsum("ak,bl,oikl->abio", evaluate, evaluate, weight_OIKK)
        self.weight_BIO = weight[:, None].expand(-1, self.tiles, -1, -1, -1).flatten(0, 2)  # one for every product

    def __call__(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        (products, c, n_out), n, tiles = self.weight_BIO.shape, len(x_NCHW), self.tiles
        x = self.gather @ x_NCHW.permute(2, 3, 0, 1).reshape(self.side, -1)
        x = self.gather @ x.view(-1, self.side, n * c)
        x = x.view(products, -1, c) @ self.weight_BIO
        x = self.interpolate @ x.view(TILE + 2, -1)
        x = self.interpolate @ x.view(-1, TILE + 2, tiles * n * n_out)
        x = x.view(TILE, tiles, TILE, tiles, n, n_out).permute(4, 1, 0, 3, 2, 5).reshape(n, TILE * tiles, -1, n_out)
        return (x if self.bias_O is None else x.add_(self.bias_O)).permute(0, 3, 1, 2)


@functools.cache
def _toom_cook() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A, G, B of y = A [(G w) * (B d)], which filters 6 values d by 3 taps w to 4: Toom-Cook, transposed."""

    def powers(k: int) -> np.ndarray:
        return np.vstack([np.vander(POINTS, k, increasing=True), np.eye(k)[-1:]])

    return powers(TILE).T, powers(3), np.linalg.inv(powers(TILE + 2)).T


@functools.cache
def _gather(side: int, doubled: bool, device: torch.device) -> torch.Tensor:
    """Maps one axis of pixels to the kernels' inputs, all tiles at one point after the other: (6 tiles, side)."""
    length = side * (1 + doubled)
    padded = np.vstack([np.zeros(length), np.eye(length), np.zeros(length)])
    windows = np.stack([padded[start : start + TILE + 2] for start in range(0, length, TILE)], 1)
    gather = np.einsum("ap,ptx->atx", _toom_cook()[2], windows).reshape(-1, length)
    return _float(gather @ _doubling(side) if doubled else gather, device)


class DoublingConv:
    """Bilinear doubling and a convolution, computed as a transposed convolution and the filter of the doubling.

    The two orders differ only at the border: doubling repeats the outermost pixels, where the convolution sees zeros.
    The kernels' response to the ring around the doubled map is therefore subtracted from the outermost rows and
    columns.
    """

    def __init__(self, weight_OIKK: torch.Tensor, bias_O: torch.Tensor | None):
        w, taps = weight_OIKK, torch.tensor(DOUBLING_TAPS, device=weight_OIKK.device)
        self.kernels = w.flip(2, 3).transpose(0, 1).contiguous(memory_format=torch.channels_last)
        self.filter, self.bias_O = (taps[:, None] * taps).expand(len(w), 1, 4, 4).contiguous(), bias_O
        outer = torch.stack([w[:, :, 0], w[:, :, 2], w[..., 0], w[..., 2]])  # above, below, left, right
        self.outer_K4IO = outer.permute(3, 0, 2, 1).contiguous()

    def __call__(self, x_NCHW: torch.Tensor) -> torch.Tensor:
        padded = F.pad(x_NCHW, (1, 1, 1, 1), mode="replicate")
        fine = F.conv_transpose2d(padded, self.kernels, stride=2, padding=1)
        y = F.conv2d(fine, self.filter, self.bias_O, groups=len(self.filter))
        self._clear_border(x_NCHW.permute(2, 3, 0, 1), y.permute(2, 3, 0, 1))
        return y

    def _clear_border(self, x_HWNC: torch.Tensor, y_HWNC: torch.Tensor) -> None:
        edges_4LNC = torch.stack([x_HWNC[0], x_HWNC[-1], x_HWNC[:, 0], x_HWNC[:, -1]])
        _, length, n, c = edges_4LNC.shape
        ring = (_ring(length, x_HWNC.device) @ edges_4LNC.flatten(2)).view(4, -1, c)
        read = ring[:, : -2 * n] @ self.outer_K4IO[0]
        for k in (1, 2):
            read.baddbmm_(ring[:, k * n :][:, : read.shape[1]], self.outer_K4IO[k])
        edges = y_HWNC[0], y_HWNC[-1], y_HWNC[:, 0], y_HWNC[:, -1]
        for edge, part in zip(edges, read.unflatten(1, (-1, n)), strict=True):
            edge.sub_(part)


@functools.cache
def _ring(n: int, device: torch.device) -> torch.Tensor:
    """The ring along an edge of n pixels: (2n + 2, n); two edges share a corner, each subtracts half of it."""
    double = _doubling(n)
    return _float(np.vstack([double[:1] / 2, double, double[-1:] / 2]), device)


@functools.cache
def doubling(n: int, device: torch.device) -> torch.Tensor:
    """Bilinear doubling of an axis of n pixels: (2n, n)."""
    return _float(_doubling(n), device)


def _doubling(n: int) -> np.ndarray:
    near, at = np.eye(n), np.arange(n)
    before, after = near[np.maximum(at - 1, 0)], near[np.minimum(at + 1, n - 1)]
    return np.stack([0.25 * before + 0.75 * near, 0.75 * near + 0.25 * after], 1).reshape(2 * n, n)


def _float(matrix: np.ndarray, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(np.ascontiguousarray(matrix), dtype=torch.float32, device=device)
