"""tau: the linear maps U_l behind the affine of chosen style layers, the only part that adaptation trains."""

from __future__ import annotations

import torch
from torch import nn

from flexpose_ray.core.errors import ConfigError
from flexpose_ray.core.generator import Generator


def layer_set(layers: str | tuple[int, ...] | list[int], n_layers: int) -> tuple[int, ...]:
    """Sorted layer numbers, ``"all"`` filled in.

    Raises:
        ConfigError: no layer, one outside 1 to ``n_layers``, or another word than "all".
    """
    if layers == "all":
        return tuple(range(1, n_layers + 1))
    known = range(1, n_layers + 1)
    if not layers or isinstance(layers, str) or any(layer not in known for layer in layers):
        shown = layers if isinstance(layers, str) else list(layers)
        raise ConfigError("layers", f"{shown!r} is out of range", f"this generator has style layers 1 to {n_layers}")
    return tuple(sorted(set(layers)))


class Transfer(nn.Module):
    """tau = diag(I, .., U_l, .., I) on style codes (paper eq. 4 and 6), identity at the start.

    Args:
        widths: size C_l of every layer's style code, layer 1 first.
        layers: the layers l with a U_l, counted from 1.
        bias: add a shift to each U_l, as affine maps have; False is the paper's form.
    """

    def __init__(self, widths: list[int], layers: tuple[int, ...], bias: bool = False):
        super().__init__()
        self.config = dict(layers=list(layers), bias=bias)
        self.maps = nn.ModuleDict()
        for layer in layers:
            u = nn.Linear(widths[layer - 1], widths[layer - 1], bias=bias)
            nn.init.eye_(u.weight)
            if bias:
                nn.init.zeros_(u.bias)
            self.maps[str(layer)] = u

    @staticmethod
    def for_generator(generator: Generator, layers: tuple[int, ...], bias: bool = False) -> Transfer:
        return Transfer([a.weight.shape[0] for a in generator.affines], layers, bias)

    def forward(self, styles: list[torch.Tensor]) -> list[torch.Tensor]:
        return [self.maps[str(l)](s) if str(l) in self.maps else s for l, s in enumerate(styles, start=1)]
