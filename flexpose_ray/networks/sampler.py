"""Target pose sampling (paper section 3.4): latents to images to keypoints. Images are not kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.folded import FoldedBeta, FoldedGenerator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.limits import PoseLimits


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a stored model beside its networks.

    Attributes:
        digest: identity of all weights; the first part of a sample's address.
        limits: what poses of the source look like, for the gate; None if unknown.
        shots_SJ2: the poses that tau was trained on, crop units; None for a model that was not adapted.
    """

    digest: str = ""
    limits: PoseLimits | None = None
    shots_SJ2: np.ndarray | None = None


class PoseSampler:
    """t = beta(g(z)) for addressed latents, in batches of one fixed shape.

    The networks are moved to the device and set to evaluation mode.

    Args:
        generator: g_s.
        beta: reads its images.
        alpha: how its skeletons are drawn.
        transfer: tau; None samples the source.
        batch: images a pass. The last pass is filled up, so a pose does not depend on how many are requested.
        device: where the networks run.
        facts: of the stored model, for those who need them; sampling does not.
    """

    def __init__(
        self,
        generator: Generator,
        beta: Beta,
        alpha: Alpha,
        transfer: Transfer | None = None,
        batch: int = 64,
        device: torch.device | str = "cpu",
        facts: ModelFacts = ModelFacts(),
    ):
        self.digest, self.limits, self.shots_SJ2 = facts.digest, facts.limits, facts.shots_SJ2
        self.device, self.alpha, self.batch = torch.device(device), alpha, batch
        self.generator = generator.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.beta = beta.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.transfer = transfer.to(self.device).eval().requires_grad_(False) if transfer else None

    @property
    def skeleton_name(self) -> str:
        return self.alpha.skeleton_name

    def images(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """g(z): images (N, C, H, W), about [-1, 1]; differentiable, unlike :meth:`sample`."""
        w_ND = self.generator.mapping(z_NZ)
        if self.transfer is None:
            return self.generator.synthesis(self.generator.styles(w_ND), w_ND)
        w_ND = self.transfer.latent(w_ND)
        return self.generator.synthesis(self.transfer(self.generator.styles(w_ND)), w_ND)

    @torch.inference_mode()
    def sample(self, seed: int, indices_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses at the addresses (digest, seed, index), by the current weights: training may continue between calls.

        Returns:
            keypoints_NJ2: float32, crop units.
            confidence_NJ: float32 in [0, 1].
        """
        generator, beta = FoldedGenerator(self.generator, self.transfer), FoldedBeta(self.beta, self.generator.size)
        numbers_NK = torch.as_tensor(latents(seed, np.asarray(indices_N), self.numbers))

        def read(numbers_NK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.apply_blend(*beta(generator(numbers_NK[:, : self.generator.z_size])), numbers_NK)

        return self._in_batches(read, numbers_NK)

    @property
    def numbers(self) -> int:
        """Normal numbers per pose: its latent, and those of the blend."""
        return self.generator.z_size + (self.transfer.numbers if self.transfer else 0)

    def apply_blend(
        self, keypoints_NJ2: torch.Tensor, confidence_NJ: torch.Tensor, numbers_NK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The model's poses and confidence, from what beta read: apply the blend, if there is one.

        Args:
            keypoints_NJ2, confidence_NJ: from beta.
            numbers_NK: all :attr:`numbers` of every pose.
        """
        if self.transfer is None or self.transfer.blend is None:
            return keypoints_NJ2, confidence_NJ
        return self.transfer.blend(keypoints_NJ2, numbers_NK[:, self.generator.z_size :]), confidence_NJ

    @torch.inference_mode()
    def read(self, images_NCHW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """beta(images), in batches of the same shape: keypoints_NJ2 in crop units and confidence_NJ, float32."""
        return self._in_batches(FoldedBeta(self.beta, images_NCHW.shape[2]), images_NCHW)

    def _in_batches(self, network: Callable, x_N: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        n, joints = len(x_N), self.alpha.skeleton.n_joints
        if n == 0:
            return np.empty((0, joints, 2), np.float32), np.empty((0, joints), np.float32)
        rows_N = torch.arange(-(-n // self.batch) * self.batch) % n  # the last batch is filled up
        found = [network(x_N[rows].to(self.device)) for rows in rows_N.split(self.batch)]
        keypoints_NJ2, confidence_NJ = (torch.cat(part)[:n].cpu().numpy() for part in zip(*found, strict=True))
        return keypoints_NJ2, confidence_NJ
