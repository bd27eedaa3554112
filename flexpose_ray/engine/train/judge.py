"""Evaluation of the generator while it trains: distances of its poses to held-out real ones, and pictures."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import torch

from flexpose_ray.config import Recipe
from flexpose_ray.errors import DataError
from flexpose_ray.judging.classifier import classifier_auc
from flexpose_ray.judging.memorising import nearest_ratio
from flexpose_ray.judging.metrics import density_coverage, frechet_distance, mmd2
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.sampler import PoseSampler
from flexpose_ray.pose.alpha import to_uint8
from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.moments import moments
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.mixture import mixed

ROWS, COLUMNS = 6, 12  # of a grid of samples


class Judge:
    """Compares generated poses with held-out real ones mixed by the sources' weights.

    Attributes:
        train_NJ2: the poses trained on, and their mirror images.
        source: their moments.
        limits: of the limbs and angles of those poses.
        floor: the same distances between two halves of the held-out poses.
    """

    def __init__(self, train: PoseSet, held: PoseSet, recipe: Recipe):
        p, weights = recipe.pretrain, [source.weight for source in recipe.sources]
        self.seed, self.count = p.seed, p.eval_samples
        self.train_NJ2 = both_sides(mixed(train, weights, p.seed))
        self.source = moments(self.train_NJ2)
        self.limits = PoseLimits.of(train.keypoints_NJ2, train.skeleton)
        self.real_NJ2 = both_sides(mixed(held, weights, p.seed))
        half = np.random.default_rng(p.seed).permutation(len(self.real_NJ2))
        cut = len(half) // 2
        halves = self.real_NJ2[half[:cut]], self.real_NJ2[half[cut:]]
        self.floor = {"fd_floor": frechet_distance(*halves), "mmd2_floor": mmd2(*halves)}

    def scores(self, sampler: PoseSampler) -> dict[str, float]:
        """``fd``, ``mmd2``, ``density`` and ``coverage`` of the generator's poses."""
        poses_NJ2, _ = sampler.sample(self.seed, np.arange(self.count))
        density, coverage = density_coverage(poses_NJ2, self.real_NJ2)
        distances = {"fd": frechet_distance(poses_NJ2, self.real_NJ2), "mmd2": mmd2(poses_NJ2, self.real_NJ2)}
        return {**distances, "density": density, "coverage": coverage}

    def independence(self, sampler: PoseSampler) -> dict[str, float]:
        """What a finished generator is asked besides: ``auc``, of trees that tell its poses from held-out ones, and
        ``nearest_ratio``, which is below 1 where it repeats poses that it was trained on.

        Sets too small or too uniform to say so leave a figure out.
        """
        poses_NJ2, _ = sampler.sample(self.seed, np.arange(self.count))
        groups_N = np.tile(np.arange(len(self.real_NJ2) // 2), 2)  # a pose and its mirror image
        found = {}
        with suppress(DataError):
            found["auc"] = classifier_auc(poses_NJ2, self.real_NJ2, self.seed, groups_N)
        with suppress(DataError):
            found["nearest_ratio"] = nearest_ratio(poses_NJ2, self.train_NJ2, self.real_NJ2, seed=self.seed)
        return found

    @torch.inference_mode()
    def grid(self, networks: Networks) -> np.ndarray:
        """6 x 12 skeleton images, always from the same latents: uint8 (H, W, 3), RGB. A flow's poses are drawn."""
        numbers, device = np.arange(ROWS * COLUMNS), next(networks.generator.parameters()).device
        if networks.kind == "flow":
            poses_NJ2, _ = networks.sampler(device=device).sample(self.seed, numbers)
            images = networks.alpha.draw(torch.as_tensor(poses_NJ2))
        else:
            z = torch.as_tensor(latents(self.seed, numbers, networks.generator.z_size), device=device)
            images = networks.generator(z)
        images_NHWC = to_uint8(images)
        rows = [np.concatenate(list(images_NHWC[i : i + COLUMNS]), 1) for i in range(0, len(numbers), COLUMNS)]
        grid_HWC = np.concatenate(rows)
        return np.repeat(grid_HWC, 3, 2) if grid_HWC.shape[2] == 1 else grid_HWC


def both_sides(poses: PoseSet) -> np.ndarray:
    """The poses and their mirror images, which training uses equally often."""
    return with_mirrored(poses.keypoints_NJ2, poses.skeleton)
