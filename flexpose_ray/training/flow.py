"""Training of a pose flow: its velocity field on source poses, then the one-step student on where the field leads."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.skeleton import get_skeleton
from flexpose_ray.training.settings import SINGLE, RealPoses, Worker
from flexpose_ray.training.states import load_moments, named_moments

WARM_UP = 100  # steps in which the learning rate rises
FIELD_CLIP, STUDENT_CLIP = 1.0, 5.0  # greatest norms of gradients
HALF_LIFE = 0.02  # of the averaged weights, as a share of the steps so far
PIXELS = 64.0  # the student's errors count in pixels of an image of this side


@dataclass(frozen=True)
class PoseFlowSettings:
    """Settings of a flow's training.

    Attributes:
        steps, batch, lr: of the velocity field. The learning rate falls to 0 along a cosine.
        student_steps, student_batch, student_lr: the same of the one-step student.
        pairs: of noise and the pose that the field leads to; the student learns from these.
        bf16: autocast to bfloat16.
        seed: of the networks' initial values and of all random draws.
    """

    steps: int = 6000
    batch: int = 512
    lr: float = 2e-3
    student_steps: int = 2000
    student_batch: int = 1024
    student_lr: float = 2e-3
    pairs: int = 200_000
    bf16: bool = False
    seed: int = 0


class FlowTrainer:
    """A flow, its optimizers, the averaged flow and the pairs: everything that a step changes.

    The first ``steps`` steps train the velocity field by flow matching. The others train the student; in the first half
    of these the field makes the pairs, some in every step. A step's numbers are drawn by its number and shared out, so
    that any number of workers trains the same flow.

    Args:
        flow: trained in place, on the worker's device; :meth:`PoseFlow.fit_scale` was called.
        poses: to train on; their mirror images count too.
        settings: of training.
        worker: where it trains, and how it meets the others.
    """

    def __init__(self, flow: PoseFlow, poses: RealPoses, settings: PoseFlowSettings, worker: Worker = SINGLE):
        self.settings, self.worker, self.device = settings, worker, torch.device(worker.device)
        self.flow = flow.to(self.device)
        self.averaged = copy.deepcopy(flow).eval().requires_grad_(False)
        both_NJ2 = with_mirrored(poses.keypoints_NJ2, get_skeleton(flow.config["skeleton_name"]))
        self.x_NZ = flow.coordinates(torch.as_tensor(both_NJ2, device=self.device))
        weights_N = np.ones(len(poses.keypoints_NJ2)) if poses.weights_N is None else poses.weights_N
        self.inner_edges = np.cumsum(weights_N / weights_N.sum())[:-1]
        self.optimizers = {
            "field": torch.optim.AdamW(flow.field.parameters(), betas=(0.9, 0.99), weight_decay=0.0, fused=True),
            "student": torch.optim.AdamW(flow.student.parameters(), betas=(0.9, 0.98), weight_decay=0.02, fused=True),
        }
        self.paired_PZ = torch.zeros(settings.pairs, flow.z_size, device=self.device)
        self.step_count = 0

    @property
    def images_seen(self) -> int:
        """Poses trained on so far; the name is that of all trainers."""
        s, student = self.settings, max(0, self.step_count - self.settings.steps)
        return (self.step_count - student) * s.batch + student * s.student_batch

    @property
    def draws_in_one_step(self) -> bool:
        """Whether the student has begun to learn."""
        return self.step_count > self.settings.steps

    def step(self) -> dict[str, float]:
        """Train on one batch; returns ``velocity`` (mean squared error), or ``student_px`` (mean joint error, pixels of
        64) and ``surprise`` (of the expected errors), of this worker's share."""
        report = self._field_step() if self.step_count < self.settings.steps else self._student_step()
        self.step_count += 1
        self._average()
        return report

    def finite(self) -> bool:
        """Whether all weights are finite numbers."""
        return bool(torch.stack([p.detach().isfinite().all() for p in self.flow.parameters()]).all())

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """All that training resumes from, as named tensors and numbers."""
        tensors = {"pairs": self.paired_PZ[: self._pairs_at(self.step_count)]}
        for name, network in {"generator": self.flow, "averaged": self.averaged}.items():
            tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
        for name, optimizer in self.optimizers.items():
            tensors |= named_moments(name, optimizer)
        return tensors, {"step": self.step_count}

    def load_state(self, tensors: dict[str, torch.Tensor], numbers: dict[str, float]) -> None:
        """Resume from :meth:`state`, bit for bit."""
        for name, network in {"generator": self.flow, "averaged": self.averaged}.items():
            prefix = f"{name}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for name, optimizer in self.optimizers.items():
            load_moments(name, optimizer, tensors)
        self.paired_PZ[: len(tensors["pairs"])] = tensors["pairs"].to(self.device)
        self.step_count = int(numbers["step"])

    def _field_step(self) -> dict[str, float]:
        s = self.settings
        rng, n = _rng(s.seed, self.step_count), len(self.inner_edges) + 1
        rows_N = np.searchsorted(self.inner_edges, rng.random(s.batch), side="right") + n * rng.integers(
            2, size=s.batch
        )
        x0_NZ = rng.standard_normal((s.batch, self.flow.z_size), np.float32)
        t_N1 = ((np.arange(s.batch) + rng.random(s.batch)) / s.batch).astype(np.float32)[:, None]  # one a stratum
        mine = self._share(s.batch)
        x1_NZ = self.x_NZ[torch.as_tensor(rows_N[mine], device=self.device)]
        x0_NZ, t_N1 = (torch.as_tensor(part[mine], device=self.device) for part in (x0_NZ, t_N1))
        with self._autocast():
            found_NZ = self.flow.velocity(x0_NZ + t_N1 * (x1_NZ - x0_NZ), t_N1)
        loss = F.mse_loss(found_NZ.float(), x1_NZ - x0_NZ)
        self._update("field", loss, s.lr * _rate(self.step_count, s.steps), FIELD_CLIP)
        return {"velocity": loss.item()}

    def _student_step(self) -> dict[str, float]:
        s, step = self.settings, self.step_count - self.settings.steps
        if step == 0:
            self.flow.load_state_dict(self.averaged.state_dict())  # the averaged field is the one that is followed
        self._make_pairs()
        ready = self._pairs_at(self.step_count + 1)
        rows_N = torch.as_tensor(_rng(s.seed, self.step_count).integers(ready, size=s.student_batch))
        rows_N = rows_N[self._share(s.student_batch)]
        z_NZ = self._pair_noise(rows_N)
        with self._autocast():
            found_NZ, log_error_NJ = self.flow.one_step(z_NZ)
        apart_NJ2 = self.flow.joints_at(found_NZ.float()) - self.flow.joints_at(self.paired_PZ[rows_N.to(self.device)])
        error_NJ = (apart_NJ2.square().sum(2) + 1e-12).sqrt()
        distance = error_NJ.mean() * PIXELS
        log_error_NJ = log_error_NJ.float()
        surprise = (log_error_NJ + error_NJ.detach() * (-log_error_NJ).exp()).mean()
        rate = s.student_lr * _rate(step, s.student_steps)
        self._update("student", distance + surprise, rate, STUDENT_CLIP)
        return {"student_px": distance.item(), "surprise": surprise.item()}

    def _pairs_at(self, step: int) -> int:
        """Pairs that are there after so many steps: all of them after half of the student's."""
        s, done = self.settings, step - self.settings.steps
        return min(s.pairs, max(0, math.ceil(2 * done * s.pairs / s.student_steps)))

    @torch.no_grad()
    def _make_pairs(self) -> None:
        """This step's pairs; every worker follows the field from its share of them."""
        first, end = (self._pairs_at(self.step_count + k) for k in (0, 1))
        if first == end:
            return
        share = -(-(end - first) // self.worker.world)
        rows_N = (first + self.worker.rank * share + torch.arange(share)).clamp(max=end - 1)
        with self._autocast():
            found_NZ = self.flow.solve(self._pair_noise(rows_N))
        self.paired_PZ[first:end] = self.worker.gather(found_NZ.float())[: end - first]

    def _pair_noise(self, rows_N: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "_noise_PZ"):
            rng = np.random.Generator(np.random.Philox(key=self.settings.seed, counter=[0, 0, 4, 0]))
            self._noise_PZ = torch.as_tensor(rng.standard_normal(tuple(self.paired_PZ.shape), np.float32))
        return self._noise_PZ[rows_N].to(self.device)

    def _share(self, batch: int) -> slice:
        n = batch // self.worker.world
        return slice(self.worker.rank * n, (self.worker.rank + 1) * n)

    def _update(self, name: str, loss: torch.Tensor, lr: float, clip: float) -> None:
        optimizer = self.optimizers[name]
        (group,) = optimizer.param_groups
        group["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.worker.reduce([p.grad for p in group["params"]])()
        torch.nn.utils.clip_grad_norm_(group["params"], clip)
        optimizer.step()

    @torch.no_grad()
    def _average(self) -> None:
        """Update the averaged flow, whose memory grows with the steps of a stage."""
        done = self.step_count if self.step_count <= self.settings.steps else self.step_count - self.settings.steps
        keep = 0.5 ** (1 / max(1.0, HALF_LIFE * done))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.flow.parameters()), 1 - keep)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16)


def _rng(seed: int, step: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 3, step]))


def _rate(step: int, steps: int) -> float:
    """The learning rate's factor: up in WARM_UP steps, then down along a cosine."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))
