"""A residual MLP: what the pose flow consists of, and the mapping of a generator that it has taught."""

from __future__ import annotations

import torch
from torch import nn


class ResidualBlock(nn.Module):
    """x + B(gelu(A(norm(x)))); the identity at the start."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.enter, self.leave = nn.Linear(width, hidden), nn.Linear(hidden, width)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)
        self.act = nn.GELU("tanh")

    def forward(self, x_NW: torch.Tensor) -> torch.Tensor:
        return x_NW + self.leave(self.act(self.enter(self.norm(x_NW))))


class ResidualMLP(nn.Module):
    """(N, inputs) to (N, outputs) through residual blocks, with a linear map beside them.

    Args:
        inputs, outputs: sizes of a row.
        width: of the residual stream.
        hidden: of every block's hidden layer.
        depth: number of blocks.
    """

    def __init__(self, inputs: int, outputs: int, width: int, hidden: int, depth: int):
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.Sequential(*(ResidualBlock(width, hidden) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, outputs)
        self.skip = nn.Linear(inputs, outputs, bias=False)

    def forward(self, x_NI: torch.Tensor) -> torch.Tensor:
        return self.leave(self.norm(self.blocks(self.enter(x_NI)))) + self.skip(x_NI)
