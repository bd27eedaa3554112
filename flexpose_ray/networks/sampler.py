"""Target pose sampling (paper section 3.4): latents to images to keypoints, images never kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.inference import FrozenBeta, FrozenGenerator
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.limits import PoseLimits


class PoseSampler:
    """t = beta(g(z)) for addressed latents, in batches of one fixed shape.

    Args:
        generator: g_s.
        beta: reads its images.
        alpha: how its skeletons are drawn.
        digest: identity of all weights; the first part of a sample's address.
        transfer: tau; None samples the source.
        batch: images a pass. The last pass is filled up, so that a pose does not depend on how many are asked for.
        limits: what poses of the source look like, for the gate.
        shots_SJ2: the poses that transfer was trained on, crop units; None for the source.
    """

    def __init__(
        self,
        generator: Generator,
        beta: Beta,
        alpha: Alpha,
        digest: str,
        transfer: Transfer | None = None,
        batch: int = 64,
        device: torch.device | str = "cpu",
        limits: PoseLimits | None = None,
        shots_SJ2: np.ndarray | None = None,
    ):
        self.limits, self.shots_SJ2 = limits, shots_SJ2
        self.device, self.digest, self.alpha, self.batch = torch.device(device), digest, alpha, batch
        self.generator = generator.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.beta = beta.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.transfer = transfer.to(self.device).eval().requires_grad_(False) if transfer else None

    @property
    def skeleton_name(self) -> str:
        return self.alpha.skeleton_name

    def images(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """g(z): images (N, C, H, W), about [-1, 1]; differentiable, which :meth:`sample` is not."""
        w_ND = self.generator.mapping(z_NZ)
        if self.transfer is None:
            return self.generator.synthesis(self.generator.styles(w_ND), w_ND)
        w_ND = self.transfer.latent(w_ND)
        return self.generator.synthesis(self.transfer(self.generator.styles(w_ND)), w_ND)

    @torch.inference_mode()
    def sample(self, seed: int, indices_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses at the addresses (digest, seed, index), with the weights of now: training may go on between calls.

        Returns:
            keypoints_NJ2: float32, crop units.
            confidence_NJ: float32 in [0, 1].
        """
        generator, beta = FrozenGenerator(self.generator, self.transfer), FrozenBeta(self.beta, self.generator.size)
        numbers_NK = torch.as_tensor(latents(seed, np.asarray(indices_N), self.numbers))

        def read(numbers_NK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.finish(*beta(generator(numbers_NK[:, : self.generator.z_size])), numbers_NK)

        return self._in_batches(read, numbers_NK)

    @property
    def numbers(self) -> int:
        """Normal numbers that a pose is made of: its latent, and what the blend takes."""
        return self.generator.z_size + (self.transfer.numbers if self.transfer else 0)

    def finish(
        self, keypoints_NJ2: torch.Tensor, confidence_NJ: torch.Tensor, numbers_NK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Poses and confidence as the model leaves them, from what beta read and all :attr:`numbers`."""
        if self.transfer is None or self.transfer.blend is None:
            return keypoints_NJ2, confidence_NJ
        return self.transfer.blend(keypoints_NJ2, numbers_NK[:, self.generator.z_size :]), confidence_NJ

    @torch.inference_mode()
    def read(self, images_NCHW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """beta(images), in batches of the same shape: keypoints_NJ2 in crop units and confidence_NJ, float32."""
        return self._in_batches(FrozenBeta(self.beta, images_NCHW.shape[2]), images_NCHW)

    def _in_batches(self, network: Callable, x_N: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        n, joints = len(x_N), self.alpha.skeleton.n_joints
        if n == 0:
            return np.empty((0, joints, 2), np.float32), np.empty((0, joints), np.float32)
        rows_N = torch.arange(-(-n // self.batch) * self.batch) % n  # the last batch is filled up
        found = [network(x_N[rows].to(self.device)) for rows in rows_N.split(self.batch)]
        keypoints_NJ2, confidence_NJ = (torch.cat(part)[:n].cpu().numpy() for part in zip(*found, strict=True))
        return keypoints_NJ2, confidence_NJ
