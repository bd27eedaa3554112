"""Adversarial training: one step of generator and discriminator, lazy R1, the averaged generator."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.geometry import mirrored
from flexpose_ray.training.draw import Draw, augment
from flexpose_ray.training.losses import energy_pull
from flexpose_ray.training.regularisers import Mixing, PathLengths, path_noise
from flexpose_ray.training.settings import SINGLE, Completion, GanSettings, RealPoses, Worker
from flexpose_ray.training.states import load_moments, named_moments


class GanTrainer:
    """Both networks, their optimizers, the averaged generator and the counters: everything that a step changes.

    Args:
        generator, discriminator: trained in place, on the worker's device.
        alpha: draws real images, on that device.
        poses: the poses that it draws.
        settings: of training.
        worker: where it trains, and how it meets the others.
        beta: reads generated poses for ``pose_weight``; None leaves that term out.
    """

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        alpha: Alpha,
        poses: RealPoses,
        settings: GanSettings,
        worker: Worker = SINGLE,
        beta: Beta | None = None,
    ):
        self.settings, self.alpha, self.worker, self.weights_N = settings, alpha, worker, poses.weights_N
        self.device = torch.device(worker.device)
        self.generator = generator.to(self.device, memory_format=torch.channels_last)
        self.discriminator = discriminator.to(self.device, memory_format=torch.channels_last)
        self.averaged = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self.beta = beta  # always in the same memory layout, because another one rounds differently
        if beta is not None:
            beta.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.poses_NJ2 = torch.as_tensor(poses.keypoints_NJ2, device=self.device)
        self.flip_J = torch.as_tensor(alpha.skeleton.flip, device=self.device)
        lazy = settings.r1_every / (settings.r1_every + 1)  # R1 adds a discriminator step every r1_every
        g_lazy = settings.path_every / (settings.path_every + 1) if settings.path_length else 1.0
        self.g_optimizer = _adam(self.generator.parameters(), settings.lr, g_lazy)
        self.d_optimizer = _adam(self.discriminator.parameters(), settings.lr, lazy)
        self.paths = PathLengths(worker.gather)
        self.step_count = 0
        self.strength = 0.0  # of augmentation
        self._ahead: tuple[int, tuple[Draw, torch.Tensor]] | None = None  # a step's number and its prepared inputs

    @property
    def images_seen(self) -> int:
        return self.step_count * self.settings.batch

    def real_poses(self, rows_N: np.ndarray, mirror_N: np.ndarray) -> torch.Tensor:
        """The poses ``rows_N``, mirrored where asked."""
        k = self.poses_NJ2[torch.as_tensor(rows_N, device=self.device)]
        mirror_N11 = torch.as_tensor(mirror_N, device=self.device)[:, None, None]
        return torch.where(mirror_N11, mirrored(k, self.flip_J), k)

    def step(self) -> dict[str, float]:
        """Train both networks on one batch.

        Returns:
            Of this worker's share: ``g_loss``, ``d_loss``, ``real`` and ``fake`` (mean logits), ``r1`` (every
            ``r1_every`` steps); where these are on ``pose``, ``path`` (every ``path_every``), ``augment`` (strength).
        """
        ahead, self._ahead = self._ahead, None
        draw, real = ahead[1] if ahead and ahead[0] == self.step_count else self._drawn(self.step_count)
        augments = torch.as_tensor(draw.augment_N5, device=self.device)
        report, finish = self._discriminator_step(draw, real, augments)
        report |= self._generator_step(draw, augments[2], finish)
        self._average()
        self.step_count += 1
        return report

    def finite(self) -> bool:
        """Whether all weights of the networks are finite numbers."""
        weights = [p for network in self._networks().values() for p in network.parameters()]
        return bool(torch.stack([p.detach().isfinite().all() for p in weights]).all())

    def state(self) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
        """All that training resumes from, as named tensors and numbers."""
        tensors = {}
        for name, network in self._networks().items():
            tensors |= {f"{name}.{k}": v for k, v in network.state_dict().items()}
        for name, optimizer in self._optimizers().items():
            tensors |= named_moments(name, optimizer)
        numbers = {"step": self.step_count, "strength": self.strength}
        return tensors, numbers | ({"path_mean": self.paths.mean} if self.settings.path_length else {})

    def load_state(self, tensors: dict[str, torch.Tensor], numbers: dict[str, float]) -> None:
        """Resume from :meth:`state`, bit for bit."""
        for name, network in self._networks().items():
            prefix = f"{name}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
        for name, optimizer in self._optimizers().items():
            load_moments(name, optimizer, tensors)
        self.step_count, self.strength = int(numbers["step"]), float(numbers["strength"])
        self.paths.mean = float(numbers.get("path_mean", 0.0))

    def _networks(self) -> dict[str, torch.nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator, "averaged": self.averaged}

    def _optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"g_optimizer": self.g_optimizer, "d_optimizer": self.d_optimizer}

    def _drawn(self, step: int) -> tuple[Draw, torch.Tensor]:
        """This worker's share of a step's random part, and its real images."""
        s = self.settings
        shape = s.batch, len(self.poses_NJ2), self.generator.z_size
        draw = Draw.of_step(s.seed, step, *shape, self.weights_N).share(self.worker.rank, self.worker.world)
        return draw, self.alpha.draw(self.real_poses(draw.rows_N, draw.mirror_N))

    def _discriminator_step(
        self, draw: Draw, real: torch.Tensor, augments: torch.Tensor
    ) -> tuple[dict[str, float], Completion]:
        """Losses, and a call that ends the step after the exchange of gradients."""
        s = self.settings
        real = augment(real, augments[0], self.strength)
        with self._autocast():
            with torch.no_grad():
                _, fake = self._generated(draw.z2_NZ, 1)
            fake = augment(fake, augments[1], self.strength)
            real_logits, fake_logits = self.discriminator(real), self.discriminator(fake)
        loss = F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()
        lean = torch.sign(real_logits.detach()).mean()
        finish = self._update(loss, self.discriminator, self.d_optimizer, lean)
        report = {"d_loss": loss.item(), "real": real_logits.mean().item(), "fake": fake_logits.mean().item()}
        if self.step_count % s.r1_every == 0:
            finish()
            report["r1"], finish = self._r1_step(real)

        def end() -> None:
            finish()
            if s.augment_target is not None:
                step = s.batch / 500_000 * (1 if lean > s.augment_target else -1)
                self.strength = min(0.8, max(0.0, self.strength + step))
                report["augment"] = self.strength

        return report, end

    def _r1_step(self, real: torch.Tensor) -> tuple[float, Completion]:
        """The lazy R1 penalty (Mescheder et al., 2018) as a step of its own, in float32."""
        s = self.settings
        real = real.detach().float().requires_grad_()
        (gradient,) = torch.autograd.grad(self.discriminator(real).sum(), real, create_graph=True)
        penalty = gradient.square().sum((1, 2, 3)).mean()
        finish = self._update(penalty * (s.r1_gamma / 2 * s.r1_every), self.discriminator, self.d_optimizer)
        return penalty.item(), finish

    def _generator_step(self, draw: Draw, augments: torch.Tensor, end_discriminator: Completion) -> dict[str, float]:
        s = self.settings
        with self._autocast():
            w, fake = self._generated(draw.z_NZ, 0)
        end_discriminator()  # its gradients were exchanged meanwhile
        self.discriminator.requires_grad_(False)
        with self._autocast():
            loss = F.softplus(-self.discriminator(augment(fake, augments, self.strength))).mean()
            report = {"g_loss": loss.item()}
            if self.beta is not None and s.pose_weight and self.images_seen >= s.pose_from_kimg * 1000:
                ours_NJ2, _ = self.beta(fake)
                wanted_NJ2 = self.real_poses(draw.wanted_M, draw.wanted_mirror_M)
                pull = energy_pull(ours_NJ2, self.worker.gather(ours_NJ2.detach()), wanted_NJ2)
                report["pose"] = pull.item()
                loss = loss + s.pose_weight * pull
        w_mean = w.detach().float().mean(0)
        finish = self._update(loss, self.generator, self.g_optimizer, w_mean)
        self.discriminator.requires_grad_(True)
        self._ahead = self.step_count + 1, self._drawn(self.step_count + 1)
        finish()
        self.generator.mapping.w_mean.lerp_(w_mean, 0.005)
        if s.path_length and self.step_count % s.path_every == 0:
            report["path"] = self._path_step(draw)
        return report

    def _generated(self, z_NZ: np.ndarray, part: int) -> tuple[torch.Tensor, torch.Tensor]:
        """w of this worker's latents, and images, mixed where the settings say; ``part`` as of :class:`Mixing`."""
        s, generator = self.settings, self.generator
        w_ND = generator.mapping(torch.as_tensor(z_NZ, device=self.device))
        if not s.style_mixing:
            return w_ND, generator.synthesis(generator.styles(w_ND), w_ND)
        mixing = Mixing.of_step(s.seed, self.step_count, part, s.batch, generator, s.style_mixing)
        return w_ND, mixing.share(self._mine, self.device).images(generator, w_ND)

    @property
    def _mine(self) -> slice:
        """This worker's rows of a batch."""
        n = self.settings.batch // self.worker.world
        return slice(self.worker.rank * n, (self.worker.rank + 1) * n)

    def _path_step(self, draw: Draw) -> float:
        """The lazy penalty on path lengths as a step of its own, in float32, of every second image."""
        s = self.settings
        z_NZ = torch.as_tensor(draw.z_NZ[::2], device=self.device)
        noise = path_noise(s.seed, self.step_count, s.batch, self.generator)[self._mine][::2].to(self.device)
        penalty = self.paths.penalty(self.generator, z_NZ, noise)
        self._update(penalty * (s.path_length * s.path_every), self.generator, self.g_optimizer)()
        return penalty.item()

    def _update(
        self, loss: torch.Tensor, network: torch.nn.Module, optimizer: torch.optim.Optimizer, *means: torch.Tensor
    ) -> Completion:
        """Begin a step of the optimizer; calling the result ends it.

        In between, gradients are averaged over workers while work that does not need ``network`` goes on. ``means`` of
        this worker's share become those of the whole batch in the same exchange.
        """
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        wait = self.worker.reduce([*(p.grad for p in network.parameters() if p.grad is not None), *means])

        def finish() -> None:
            wait()
            optimizer.step()

        return finish

    @torch.no_grad()
    def _average(self) -> None:
        """Update the averaged generator; early on it follows faster, so that it forgets the start."""
        s = self.settings
        half_life = min(s.ema_kimg * 1000, max(self.images_seen, s.batch) * 0.05)
        keep = 0.5 ** (s.batch / max(half_life, 1e-8))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.generator.parameters()), 1 - keep)
        self.averaged.mapping.w_mean.copy_(self.generator.mapping.w_mean)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.bf16)


def _adam(parameters: Iterable[torch.nn.Parameter], lr: float, lazy: float) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=lr * lazy, betas=(0.0, 0.99**lazy), eps=1e-8, fused=True)
