"""Training of a generator by a flow: plain regression on latents and drawings of the poses that the flow gives them.

A discriminator sees a few tens of thousands of poses; a flow gives pairs without end, and says which latent is to
become which pose. So nothing is left out, and there is nothing to balance.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_mapping import PoseMapping
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.training.settings import SINGLE, Worker
from flexpose_ray.training.states import load_moments, named_moments

SCALES = 4  # sizes of an image that are compared, each half of the one before
WARM_UP = 50  # steps in which the learning rate rises
LEAST_RATE = 0.02  # of the learning rate, where the cosine ends
CLIP = 50.0  # greatest norm of the gradient
SHARE = 0.05  # of the images so far, where that is less than the half-life
PIXELS = 64.0  # joints' errors count in pixels of an image of this side


@dataclass(frozen=True)
class TaughtSettings:
    """Settings of a generator's training by a flow.

    Attributes:
        kimg: thousands of images to train on; the learning rate falls along a cosine that ends there.
        batch: images a step, over all workers.
        lr: Adam's learning rate.
        image_weight: weight of the squared error of images, summed over four scales.
        joint_weight: weight of the mean distance of joints, read by beta, in pixels of 64.
        ema_kimg: half-life of the averaged generator, in thousands of images.
        bf16: autocast to bfloat16; the flow's poses stay float32.
        seed: of all random draws.
    """

    kimg: float = 300.0
    batch: int = 32
    lr: float = 2e-3
    image_weight: float = 20.0
    joint_weight: float = 0.5
    ema_kimg: float = 4.0
    bf16: bool = False
    seed: int = 0

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return max(1, math.ceil(self.kimg * 1000 / self.batch))


class TaughtTrainer:
    """A generator, its optimizer and the averaged generator: everything that a step changes.

    Args:
        generator: trained in place, on the worker's device; made by :meth:`Generator.taught_by`.
        beta: reads its images.
        alpha: draws the flow's poses, on that device.
        settings: of training.
        worker: where it trains, and how it meets the others.

    Raises:
        ConfigError: a generator with the classical mapping.
    """

    def __init__(
        self, generator: Generator, beta: Beta, alpha: Alpha, settings: TaughtSettings, worker: Worker = SINGLE
    ):
        if not isinstance(generator.mapping, PoseMapping):
            raise ConfigError("generator", "no flow decides its poses", "make it with a teacher")
        self.settings, self.alpha, self.worker, self.device = settings, alpha, worker, torch.device(worker.device)
        self.generator = generator.to(self.device, memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.beta = beta.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=settings.lr, betas=(0.9, 0.99), fused=True)
        self.step_count = 0

    @property
    def images_seen(self) -> int:
        return self.step_count * self.settings.batch

    def step(self) -> dict[str, float]:
        """Train on one batch.

        Returns:
            Of this worker's share: ``image`` (squared error, summed over scales), and ``joint_px`` (mean distance of a
            joint that beta reads from where the flow has it, pixels of 64).
        """
        s, mapping = self.settings, self.generator.mapping
        with torch.no_grad():
            poses_NJ2 = mapping.poses(self._latents())
            wanted = self.alpha.draw(poses_NJ2)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=s.bf16):
            w_ND = mapping.of_poses(poses_NJ2)
            images = self.generator.synthesis(self.generator.styles(w_ND), w_ND)
            found_NJ2, _ = self.beta(images)
        image = _image_error(images.float() - wanted)
        apart_NJ = ((found_NJ2.float() - poses_NJ2).square().sum(2) + 1e-8).sqrt()
        joint = apart_NJ.mean() * PIXELS
        self._update(s.image_weight * image + s.joint_weight * joint, w_ND.detach().float().mean(0))
        self.step_count += 1
        self._average()
        return {"image": image.item(), "joint_px": joint.item()}

    def finite(self) -> bool:
        """Whether all weights are finite numbers."""
        weights = [p for network in self._networks().values() for p in network.parameters()]
        return bool(torch.stack([p.detach().isfinite().all() for p in weights]).all())

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """All that training resumes from, as named tensors and numbers."""
        tensors = named_moments("optimizer", self.optimizer)
        for name, network in self._networks().items():
            tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
        return tensors, {"step": self.step_count}

    def load_state(self, tensors: dict[str, torch.Tensor], numbers: dict[str, float]) -> None:
        """Resume from :meth:`state`, bit for bit."""
        for name, network in self._networks().items():
            prefix = f"{name}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        load_moments("optimizer", self.optimizer, tensors)
        self.step_count = int(numbers["step"])

    def _networks(self) -> dict[str, Generator]:
        return {"generator": self.generator, "averaged": self.averaged}

    def _latents(self) -> torch.Tensor:
        """This worker's share of the step's latents (N, Z)."""
        s, worker = self.settings, self.worker
        rng = np.random.Generator(np.random.Philox(key=s.seed, counter=[0, 0, 5, self.step_count]))
        z_NZ = rng.standard_normal((s.batch, self.generator.z_size), np.float32)
        n = s.batch // worker.world
        return torch.as_tensor(z_NZ[worker.rank * n : (worker.rank + 1) * n], device=self.device)

    def _update(self, loss: torch.Tensor, w_mean_D: torch.Tensor) -> None:
        (group,) = self.optimizer.param_groups
        group["lr"] = self.settings.lr * _rate(self.step_count, self.settings.steps)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.worker.reduce([*(p.grad for p in group["params"]), w_mean_D])()
        torch.nn.utils.clip_grad_norm_(group["params"], CLIP)
        self.optimizer.step()
        self.generator.mapping.w_mean.lerp_(w_mean_D, 0.005)

    @torch.no_grad()
    def _average(self) -> None:
        """Update the averaged generator; early on it follows faster, so that it forgets the start."""
        s = self.settings
        half_life = max(2 * s.batch, min(s.ema_kimg * 1000, SHARE * self.images_seen))
        keep = 0.5 ** (s.batch / half_life)
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), 1 - keep)
        self.averaged.mapping.w_mean.copy_(self.generator.mapping.w_mean)


def _image_error(difference_NCHW: torch.Tensor) -> torch.Tensor:
    """Mean squares of a difference of images and of its smaller copies, summed; small copies see far."""
    total = difference_NCHW.square().mean()
    for _ in range(SCALES - 1):
        difference_NCHW = F.avg_pool2d(difference_NCHW, 2)
        total = total + difference_NCHW.square().mean()
    return total


def _rate(step: int, steps: int) -> float:
    """The learning rate's factor: up in WARM_UP steps, and down along a cosine."""
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return min(1.0, (step + 1) / WARM_UP) * (LEAST_RATE + (1 - LEAST_RATE) * cosine)
