"""Poses by address, from either kind of generator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.folded import FoldedBeta, FoldedGenerator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import block_latents, latents
from flexpose_ray.pose.limits import PoseLimits

Read = Callable[[torch.Tensor], tuple[np.ndarray, np.ndarray]]
Poses = tuple[torch.Tensor, torch.Tensor]  # keypoints_NJ2 in crop units, confidence_NJ in [0, 1]


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


UNKNOWN = ModelFacts()


class PoseSampler(ABC):
    """Poses for addressed latents, in batches of one fixed shape. What all kinds of generators have in common.

    The networks are moved to the device and set to evaluation mode.

    Args:
        alpha: how skeletons of the poses are drawn.
        transfer: tau; None samples the source.
        batch: poses a pass; :attr:`best_batch` where None. The last pass is filled up, so a pose does not depend on
            how many are requested.
        device: where the networks run.
        facts: of the stored model, for those who need them; sampling does not.
    """

    kind: ClassVar[str]
    best_batch: ClassVar[int]
    best_shard: ClassVar[int]  # poses in a shard: what takes a core a second or two
    confidence: ClassVar[str | None] = None  # its meaning, where it is not beta's
    read: Read | None = None  # beta's reading of images; a flow has no beta
    bf16 = False  # whether networks run in bfloat16

    def __init__(
        self,
        alpha: Alpha,
        transfer: Transfer | None = None,
        batch: int | None = None,
        device: torch.device | str = "cpu",
        facts: ModelFacts = UNKNOWN,
    ):
        self.digest, self.limits, self.shots_SJ2 = facts.digest, facts.limits, facts.shots_SJ2
        self.device, self.alpha, self.batch = torch.device(device), alpha, batch or self.best_batch
        self.transfer = transfer.to(self.device).eval().requires_grad_(False) if transfer else None

    @property
    @abstractmethod
    def z_size(self) -> int:
        """Normal numbers of a latent."""

    @abstractmethod
    def draw_numbers(self, seed: int, indices_N: np.ndarray) -> np.ndarray:
        """All :attr:`numbers` of the poses at these addresses: float32 (N, K)."""

    @abstractmethod
    def poses_of_latents(self) -> Callable[[torch.Tensor], Poses]:
        """What turns latents (N, Z) into poses of the generator, by its current weights."""

    @property
    def skeleton_name(self) -> str:
        return self.alpha.skeleton_name

    @property
    def numbers(self) -> int:
        """Normal numbers per pose: its latent, and those of the blend."""
        return self.z_size + (self.transfer.numbers if self.transfer else 0)

    @torch.inference_mode()
    def sample(self, seed: int, indices_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Poses at the addresses (digest, seed, index), by the current weights: training may continue between calls.

        Returns:
            keypoints_NJ2: float32, crop units.
            confidence_NJ: float32 in [0, 1]; a StyleGAN's is beta's, a flow's is :class:`PoseFlow`'s.
        """
        poses_of = self.poses_of_latents()

        def poses(numbers_NK: torch.Tensor) -> Poses:
            return self.apply_blend(*poses_of(numbers_NK[:, : self.z_size]), numbers_NK)

        return self._in_batches(poses, torch.as_tensor(self.draw_numbers(seed, np.asarray(indices_N))))

    def apply_blend(self, keypoints_NJ2: torch.Tensor, confidence_NJ: torch.Tensor, numbers_NK: torch.Tensor) -> Poses:
        """The model's poses and confidence, from those of the generator: apply the blend, if there is one.

        Args:
            keypoints_NJ2, confidence_NJ: of the generator.
            numbers_NK: all :attr:`numbers` of every pose.
        """
        if self.transfer is None or self.transfer.blend is None:
            return keypoints_NJ2, confidence_NJ
        return self.transfer.blend(keypoints_NJ2, numbers_NK[:, self.z_size :]), confidence_NJ

    def _in_batches(self, network: Callable[[torch.Tensor], Poses], x_N: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        n, joints = len(x_N), self.alpha.skeleton.n_joints
        if n == 0:
            return np.empty((0, joints, 2), np.float32), np.empty((0, joints), np.float32)
        rows_N = torch.arange(-(-n // self.batch) * self.batch) % n  # the last batch is filled up
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            found = [network(x_N[rows].to(self.device)) for rows in rows_N.split(self.batch)]
        parts = (torch.cat(part)[:n].float().cpu().numpy() for part in zip(*found, strict=True))
        keypoints_NJ2, confidence_NJ = parts
        return keypoints_NJ2, confidence_NJ


class StyleGanSampler(PoseSampler):
    """t = beta(g(z)), target pose sampling of the paper's section 3.4: latents to images to keypoints.

    Images are not kept. A pose's address is a counter of its own in a Philox generator.

    Args:
        generator: g_s.
        beta: reads its images.
        alpha, transfer, batch, device, facts: as :class:`PoseSampler`.
    """

    kind, best_batch, best_shard = "stylegan", 64, 1000

    def __init__(
        self,
        generator: Generator,
        beta: Beta,
        alpha: Alpha,
        transfer: Transfer | None = None,
        batch: int | None = None,
        device: torch.device | str = "cpu",
        facts: ModelFacts = UNKNOWN,
    ):
        super().__init__(alpha, transfer, batch, device, facts)
        self.generator = generator.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)
        self.beta = beta.to(self.device, memory_format=torch.channels_last).eval().requires_grad_(False)

    @property
    def z_size(self) -> int:
        return self.generator.z_size

    def draw_numbers(self, seed: int, indices_N: np.ndarray) -> np.ndarray:
        return latents(seed, indices_N, self.numbers)

    def poses_of_latents(self) -> Callable[[torch.Tensor], Poses]:
        if self.bf16:
            return lambda z_NZ: self.beta(self.images(z_NZ))
        generator, beta = FoldedGenerator(self.generator, self.transfer), FoldedBeta(self.beta, self.generator.size)
        return lambda z_NZ: beta(generator(z_NZ))  # never in bfloat16: they write into maps of float32

    def images(self, z_NZ: torch.Tensor) -> torch.Tensor:
        """g(z): images (N, C, H, W), about [-1, 1]; differentiable, unlike :meth:`sample`."""
        w_ND = self.generator.mapping(z_NZ)
        if self.transfer is None:
            return self.generator.synthesis(self.generator.styles(w_ND), w_ND)
        w_ND = self.transfer.latent(w_ND)
        return self.generator.synthesis(self.transfer(self.generator.styles(w_ND)), w_ND)

    @torch.inference_mode()
    def read(self, images_NCHW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """beta(images), in batches of the same shape: keypoints_NJ2 in crop units and confidence_NJ, float32."""
        return self._in_batches(FoldedBeta(self.beta, images_NCHW.shape[2]), images_NCHW)


class FlowSampler(PoseSampler):
    """Poses of a flow in one step, without images. Addresses share Philox generators, a thousand each.

    Args:
        flow: the generator.
        alpha, transfer, batch, device, facts: as :class:`PoseSampler`.
        heun: steps by which the flow itself is followed (12 are enough; confidence is 1); 0 takes its one-step student.
    """

    kind, best_batch, best_shard = "flow", 1024, 10_000
    confidence = "exp(-e / 0.05), e being the error that the one-step network expects of the joint, crop units"

    def __init__(
        self,
        flow: PoseFlow,
        alpha: Alpha,
        transfer: Transfer | None = None,
        batch: int | None = None,
        device: torch.device | str = "cpu",
        facts: ModelFacts = UNKNOWN,
        heun: int = 0,
    ):
        super().__init__(alpha, transfer, batch, device, facts)
        self.heun = heun
        self.flow = flow.to(self.device).eval().requires_grad_(False)

    @property
    def z_size(self) -> int:
        return self.flow.z_size

    def draw_numbers(self, seed: int, indices_N: np.ndarray) -> np.ndarray:
        blend = self.numbers - self.z_size
        return np.concatenate(block_latents(seed, indices_N, self.z_size, *([blend] if blend else [])), 1)

    def poses_of_latents(self) -> Callable[[torch.Tensor], Poses]:
        return self._followed if self.heun else self.flow

    def _followed(self, z_NZ: torch.Tensor) -> Poses:
        poses_NJ2 = self.flow.poses(self.flow.solve(z_NZ, self.heun))
        return poses_NJ2, poses_NJ2.new_ones(poses_NJ2.shape[:2])
