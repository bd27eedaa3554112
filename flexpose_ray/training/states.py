"""Optimizers' moments as named tensors, for checkpoints."""

from __future__ import annotations

import torch


def named_moments(name: str, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The moments of an optimizer as ``NAME.PARAMETER.MOMENT``."""
    state = optimizer.state_dict()["state"]
    return {f"{name}.{i}.{k}": v for i, moments in state.items() for k, v in moments.items()}


def load_moments(name: str, optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Give an optimizer the moments that :func:`named_moments` named, in place."""
    moments: dict[int, dict] = {}
    for key, tensor in tensors.items():
        owner, _, rest = key.partition(".")
        if owner != name:
            continue
        i, _, moment = rest.partition(".")
        parameter = optimizer.param_groups[0]["params"][int(i)]
        if tensor.shape == parameter.shape:  # fused Adam needs the same memory layout
            tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
        moments.setdefault(int(i), {})[moment] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
