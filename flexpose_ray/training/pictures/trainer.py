"""What trainings on pictures and poses share: batches drawn by the step's number, workers, averages, checkpoints."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from flexpose_ray.networks.picture_reader import as_input
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import Worker
from flexpose_ray.training.states import load_moments, named_moments


class PictureTrainer:
    """The networks, their optimizers, the averaged ones and the counters: everything that a step changes.

    Args:
        skeleton: of the poses: a name or a definition.
        pictures: to learn from.
        prior_NJ2: poses, crop units.
        settings: of training; have ``seed``, ``batch``, ``lr``, ``average``, ``alpha()`` and ``networks()``.
        worker: where it trains, and how it meets the others.
        averaged: name of an averaged network -> the network that it begins as.

    Attributes:
        optimizers: by name; a subclass fills them.
        more: further tensors that a step changes, by name.
    """

    def __init__(
        self,
        skeleton: str,
        pictures: Unlabelled,
        prior_NJ2: np.ndarray,
        settings: Any,
        worker: Worker,
        averaged: dict[str, str],
    ):
        self.settings, self.worker, self.pictures = settings, worker, pictures
        self.alpha = settings.alpha(skeleton)
        self.device = torch.device(worker.device)
        self.prior_NJ2 = torch.as_tensor(prior_NJ2, device=self.device)
        self.networks = settings.networks(self.alpha.skeleton.n_joints)
        self.networks.to(self.device, memory_format=torch.channels_last)
        self.averaged = torch.nn.ModuleDict({name: copy.deepcopy(self.networks[of]) for name, of in averaged.items()})
        self.averaged.eval().requires_grad_(False)
        self.optimizers: dict[str, torch.optim.Optimizer] = {}
        self.more: dict[str, torch.Tensor] = {}
        self.step_count = 0

    @property
    def last_step(self) -> int:
        return self.settings.steps

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """All that training resumes from, as named tensors and numbers."""
        tensors = {f"networks.{k}": v for k, v in self.networks.state_dict().items()}
        tensors |= {f"averaged.{k}": v for k, v in self.averaged.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            tensors |= named_moments(name, optimizer)
        return tensors | self.more, {"step": self.step_count}

    def load_state(self, tensors: dict[str, torch.Tensor], numbers: dict[str, float]) -> None:
        """Resume from :meth:`state`, bit for bit."""
        for owner, modules in (("networks.", self.networks), ("averaged.", self.averaged)):
            modules.load_state_dict({k.removeprefix(owner): v for k, v in tensors.items() if k.startswith(owner)})
        for name, optimizer in self.optimizers.items():
            load_moments(name, optimizer, tensors)
        self.more = {name: tensors[name].to(self.device).clone() for name in self.more}
        self.step_count = int(numbers["step"])

    def _rng(self) -> np.random.Generator:
        """The random numbers of this step."""
        return np.random.Generator(np.random.Philox(key=self.settings.seed, counter=[0, 0, 0, self.step_count]))

    def _update(self, losses: dict[str, tuple[torch.Tensor, tuple[str, ...]]]) -> None:
        """One step of each named optimizer by its loss; gradients are averaged over workers in one exchange."""
        parameters = {
            name: [p for n in nets for p in self.networks[n].parameters()] for name, (_, nets) in losses.items()
        }
        for name, (loss, _) in losses.items():
            grads = torch.autograd.grad(loss, parameters[name])
            for p, grad in zip(parameters[name], grads, strict=True):
                p.grad = grad
        self.worker.reduce([p.grad for group in parameters.values() for p in group])()
        for name, group in parameters.items():
            torch.nn.utils.clip_grad_norm_(group, 1.0)
            self.optimizers[name].step()

    @torch.no_grad()
    def _average(self, names: tuple[str, ...], steps: int) -> None:
        """Update averaged networks after so many steps; early on they follow faster, so that they forget the start."""
        keep = min(self.settings.average, 1 - 1 / (steps + 2))
        for name in names:
            pairs = (list(nets[name].parameters()) for nets in (self.averaged, self.networks))
            torch._foreach_lerp_(*pairs, 1 - keep)

    def _prior(self, rng: np.random.Generator, count: int) -> torch.Tensor:
        return self.prior_NJ2[torch.as_tensor(self._mine(rng.integers(len(self.prior_NJ2), size=count)))]

    def _pictures(self, rows_N: np.ndarray) -> torch.Tensor:
        """Pictures of this worker's share, in [-1, 1]."""
        return as_input(self._tensor(self.pictures.pictures_N3SS[self._mine(rows_N)], share=False))

    def _tensor(self, values: np.ndarray, share: bool = True) -> torch.Tensor:
        return torch.as_tensor(self._mine(values) if share else values, device=self.device)

    def _mine(self, values: np.ndarray) -> np.ndarray:
        """This worker's share of a batch."""
        n = len(values) // self.worker.world
        return values[self.worker.rank * n : (self.worker.rank + 1) * n]

    def _adam(self, *names: str) -> torch.optim.Adam:
        parameters = [p for name in names for p in self.networks[name].parameters()]
        return torch.optim.Adam(parameters, self.settings.lr, (0.5, 0.999), 1e-6, fused=True)
