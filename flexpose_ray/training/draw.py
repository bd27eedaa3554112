"""The random numbers of a training step, drawn by the step's number, and the augmentation that uses them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

WANTED = 256  # source poses per step that generated poses are compared with


@dataclass(frozen=True)
class Draw:
    """The random part of one step for the whole batch: the same for any number of workers.

    Attributes:
        rows_N: index of the pose of every real image.
        mirror_N: bool, whether to mirror it.
        z_NZ: latents of the generator's step.
        z2_NZ: latents of the discriminator's fakes.
        augment_N5: uniform numbers for :func:`augment`, (3, N, 5): real images, fakes, the generator's images.
        wanted_M: indices of the poses for the energy distance, the same for every worker.
        wanted_mirror_M: bool, whether to mirror those.
    """

    rows_N: np.ndarray
    mirror_N: np.ndarray
    z_NZ: np.ndarray
    z2_NZ: np.ndarray
    augment_N5: np.ndarray
    wanted_M: np.ndarray
    wanted_mirror_M: np.ndarray

    @staticmethod
    def of_step(
        seed: int, step: int, batch: int, n_poses: int, z_size: int, weights_N: np.ndarray | None = None
    ) -> Draw:
        """Draw by the address (seed, step); all poses are equally likely, or in proportion to their weights."""
        rng = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, 0, step]))

        def rows(count: int) -> np.ndarray:
            if weights_N is None:
                return rng.integers(n_poses, size=count)
            inner_edges = np.cumsum(weights_N / weights_N.sum())[:-1]
            return np.searchsorted(inner_edges, rng.random(count), side="right")

        return Draw(
            rows(batch),
            rng.random(batch) < 0.5,
            rng.standard_normal((batch, z_size), np.float32),
            rng.standard_normal((batch, z_size), np.float32),
            rng.random((3, batch, 5), np.float32),
            rows(WANTED),
            rng.random(WANTED) < 0.5,
        )

    def share(self, rank: int, world: int) -> Draw:
        """The part of worker ``rank`` of ``world``."""
        n = len(self.rows_N) // world
        part = slice(rank * n, (rank + 1) * n)
        return replace(
            self,
            rows_N=self.rows_N[part],
            mirror_N=self.mirror_N[part],
            z_NZ=self.z_NZ[part],
            z2_NZ=self.z2_NZ[part],
            augment_N5=self.augment_N5[:, part],
        )


def augment(images_NCHW: torch.Tensor, draw_N5: torch.Tensor, strength: float) -> torch.Tensor:
    """Move, scale and turn images, each with probability ``strength`` (the same for real and generated ones).

    Args:
        images_NCHW: in [-1, 1], where -1 is background.
        draw_N5: uniform numbers in [0, 1): applied or not, shift x, shift y, log-scale, angle.
        strength: 0 to 1; at 0 the images come back as they are.
    """
    if strength <= 0:
        return images_NCHW
    on = (draw_N5[:, 0] < strength).float()
    u = (draw_N5[:, 1:] * 2 - 1) * on[:, None]
    scale, angle = torch.exp(0.2 * u[:, 2]), 0.35 * u[:, 3]
    cos, sin = scale * angle.cos(), scale * angle.sin()
    grid_N23 = torch.stack([torch.stack([cos, -sin, 0.25 * u[:, 0]], 1), torch.stack([sin, cos, 0.25 * u[:, 1]], 1)], 1)
    grid = F.affine_grid(grid_N23, list(images_NCHW.shape), align_corners=False)
    moved = F.grid_sample(images_NCHW.float() + 1, grid, align_corners=False) - 1  # zero padding is background
    return moved.contiguous(memory_format=torch.channels_last)
