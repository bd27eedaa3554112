"""tau, the result of adaptation: linear maps U_l after the affines of chosen style layers, or one U before them, and
a blend of the poses that beta reads."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.blend import NUMBERS, Blend
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow

W = "w"  # layer set: one map on w
NONE = "none"  # layer set: no map, the generator stays as it is
STYLEGAN2 = "stylegan2"
COUNTINGS = {STYLEGAN2: 0, "stylegan": 1}  # style layers before the first convolution's


def layer_set(
    layers: str | tuple[int, ...] | list[int], n_layers: int, counting: str = STYLEGAN2
) -> tuple[int, ...] | str:
    """Sorted layer numbers in our counting, with ``"all"`` spelled out; ``"w"`` and ``"none"`` as they are.

    Args:
        layers: numbers, or one of these words.
        n_layers: style layers of the generator.
        counting: of the numbers in ``layers``. "stylegan2" is ours: a layer is a convolution, 1 that of 4 x 4, 3
            the second of 8 x 8. "stylegan" is that of 2018: its layer 1 styles the constant before the first
            convolution, so that 2 is the convolution of 4 x 4, and 3 the first of 8 x 8; here it has no style.

    Raises:
        ConfigError: no layer, one that there is not, an unknown word or counting, or any layer of a flow (0 layers).
    """
    if counting not in COUNTINGS:
        raise ConfigError("counting", f"unknown counting {counting!r}", f"choose one of {', '.join(COUNTINGS)}")
    if layers == NONE:
        return layers
    if not n_layers:
        raise ConfigError("layers", "this generator is a flow, which has no style layers", "add --kind stylegan")
    if layers == W:
        return layers
    if layers == "all":
        return tuple(range(1, n_layers + 1))
    before = COUNTINGS[counting]
    known = range(1 + before, n_layers + 1 + before)
    if not layers or isinstance(layers, str) or any(layer not in known for layer in layers):
        shown = layers if isinstance(layers, str) else list(layers)
        hint = f"this generator has style layers {known[0]} to {known[-1]}" + " in that counting" * before
        raise ConfigError("layers", f"{shown!r} is out of range", hint)
    return tuple(sorted({layer - before for layer in layers}))


class Transfer(nn.Module):
    """tau = diag(I, .., U_l, .., I) on style codes (paper eq. 4 and 6), identity at the start.

    With the layer set "w" it is one U on w, before the affines: the same map for every layer, so the layers keep
    agreeing with each other. It has fewer parameters than three U_l and leaves images cleaner than five.

    Args:
        widths: size C_l of every layer's style code, layer 1 first.
        w_size: size of w.
        layers: the layers l with a U_l, counted from 1; or "w", or "none".
        bias: add a shift to each U; False is the paper's form.
        blend: arguments of the :class:`Blend` of the poses; None leaves poses as they are.
    """

    def __init__(
        self,
        widths: list[int],
        w_size: int,
        layers: tuple[int, ...] | str,
        bias: bool = False,
        blend: dict[str, Any] | None = None,
    ):
        super().__init__()
        self.config = dict(layers=layers if isinstance(layers, str) else list(layers), bias=bias)
        named = {W: {W: w_size}, NONE: {}}
        sizes = named[layers] if isinstance(layers, str) else {str(layer): widths[layer - 1] for layer in layers}
        self.blend = None
        if blend is not None:
            self.set_blend(Blend(**blend))
        self.maps = nn.ModuleDict()
        for name, size in sizes.items():
            u = nn.Linear(size, size, bias=bias)
            nn.init.eye_(u.weight)
            if bias:
                nn.init.zeros_(u.bias)
            self.maps[name] = u

    @staticmethod
    def for_generator(
        generator: Generator | PoseFlow,
        layers: tuple[int, ...] | str,
        bias: bool = False,
        blend: dict[str, Any] | None = None,
    ) -> Transfer:
        return Transfer(generator.style_sizes, generator.w_size, layers, bias, blend)

    def set_blend(self, blend: Blend) -> None:
        """Blend the poses from now on."""
        self.blend = blend
        self.config["blend"] = blend.config

    @property
    def numbers(self) -> int:
        """Normal numbers per pose beside its latent."""
        return NUMBERS if self.blend is not None else 0

    def latent(self, w_ND: torch.Tensor) -> torch.Tensor:
        """tau on w: what the affines receive."""
        return self.maps[W](w_ND) if W in self.maps else w_ND

    def forward(self, styles: list[torch.Tensor]) -> list[torch.Tensor]:
        """tau on the style codes, layer 1 first."""
        return [self.maps[str(l)](s) if str(l) in self.maps else s for l, s in enumerate(styles, start=1)]
