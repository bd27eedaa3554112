"""Evaluation of the generator while it trains: distances of its poses to held-out real ones, and pictures."""

from __future__ import annotations

import numpy as np
import torch

from flexpose_ray.config import Recipe
from flexpose_ray.judging.metrics import frechet_distance, mmd2
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.pose.alpha import Alpha, to_uint8
from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import mixed

ROWS, COLUMNS = 6, 12  # of a grid of samples


class Judge:
    """Measures FD and MMD^2 of generated poses, read by beta, to held-out real ones mixed by the sources' weights.

    Attributes:
        source: moments of the poses trained on.
        limits: of the limbs and angles of those poses.
        floor: the same distances between two halves of the held-out poses.
    """

    def __init__(self, beta: Beta, train: PoseSet, held: PoseSet, recipe: Recipe):
        p, weights = recipe.pretrain, [source.weight for source in recipe.sources]
        self.beta, self.seed, self.count = beta, p.seed, p.eval_samples
        self.source = moments(both_sides(mixed(train, weights, p.seed)))
        self.limits = PoseLimits.of(train.keypoints_NJ2, train.skeleton)
        self.real_NJ2 = both_sides(mixed(held, weights, p.seed))
        half = np.random.default_rng(p.seed).permutation(len(self.real_NJ2))
        cut = len(half) // 2
        halves = self.real_NJ2[half[:cut]], self.real_NJ2[half[cut:]]
        self.floor = {"fd_floor": frechet_distance(*halves), "mmd2_floor": mmd2(*halves)}

    def scores(self, generator: Generator, alpha: Alpha) -> dict[str, float]:
        """``fd`` and ``mmd2`` of the poses that ``generator`` draws."""
        sampler = StyleGanSampler(generator, self.beta, alpha, device=next(generator.parameters()).device)
        poses_NJ2, _ = sampler.sample(self.seed, np.arange(self.count))
        return {"fd": frechet_distance(poses_NJ2, self.real_NJ2), "mmd2": mmd2(poses_NJ2, self.real_NJ2)}

    @torch.inference_mode()
    def grid(self, generator: Generator) -> np.ndarray:
        """6 x 12 generated images, always from the same latents: uint8 (H, W, 3), RGB."""
        numbers = np.arange(ROWS * COLUMNS)
        z = torch.as_tensor(latents(self.seed, numbers, generator.z_size), device=generator.start.device)
        images_NHWC = to_uint8(generator(z))
        rows = [np.concatenate(list(images_NHWC[i : i + COLUMNS]), 1) for i in range(0, len(numbers), COLUMNS)]
        grid_HWC = np.concatenate(rows)
        return np.repeat(grid_HWC, 3, 2) if grid_HWC.shape[2] == 1 else grid_HWC


def both_sides(poses: PoseSet) -> np.ndarray:
    """The poses and their mirror images, which training uses equally often."""
    return with_mirrored(poses.keypoints_NJ2, poses.skeleton)
