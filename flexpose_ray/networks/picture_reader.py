"""A trained detector: pictures to poses, with confidence, and doubt about sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.networks.detector import DenseRegressor, HeatmapRegressor, Skeletonizer
from flexpose_ray.pose.alpha import Alpha

READ_BATCH = 64  # pictures at a time
NEAR = 0.06  # crop units around a joint in which drawing and picture are compared


@dataclass(frozen=True, eq=False)
class Reading:
    """What a detector found in N pictures.

    Attributes:
        keypoints_NJ2: float32, crop units: times the side, pixels of the picture.
        confidence_NJ: in [0, 1]: how far the drawn pose agrees around a joint with what the picture became.
        exchanged_N: bool; where the regressor as it was before it saw pictures takes left for right. To exchange sides
            there is what the paper's detector calls correction.
    """

    keypoints_NJ2: np.ndarray
    confidence_NJ: np.ndarray
    exchanged_N: np.ndarray

    def corrected(self, flip_J: tuple[int, ...]) -> np.ndarray:
        """Keypoints with sides exchanged where the detector doubts them."""
        return np.where(self.exchanged_N[:, None, None], self.keypoints_NJ2[:, list(flip_J)], self.keypoints_NJ2)


def as_input(pictures_N3SS: torch.Tensor) -> torch.Tensor:
    """uint8 to what networks take: [-1, 1], channels last."""
    return (pictures_N3SS.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


class PictureReader:
    """Reads pictures.

    Args:
        skeletonizer, regressor: trained.
        prepared: the regressor before it saw pictures.
        alpha: draws skeleton images as in training.
        size: side of the pictures that it reads, pixels.
    """

    def __init__(
        self,
        skeletonizer: Skeletonizer,
        regressor: DenseRegressor | HeatmapRegressor,
        prepared: DenseRegressor | HeatmapRegressor,
        alpha: Alpha,
        size: int,
    ):
        self.skeletonizer, self.regressor, self.prepared = skeletonizer, regressor, prepared
        self.alpha, self.size = alpha, size
        self.device = next(skeletonizer.parameters()).device

    @torch.no_grad()
    def read(self, pictures_N3SS: np.ndarray) -> Reading:
        """Read pictures of the detector's size.

        Args:
            pictures_N3SS: uint8, RGB, cropped to one subject each.
        """
        parts = [self._batch(batch) for batch in self._batches(pictures_N3SS)]
        return Reading(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def _batches(self, pictures_N3SS: np.ndarray) -> Iterator[torch.Tensor]:
        for start in range(0, len(pictures_N3SS), READ_BATCH):
            batch = torch.as_tensor(pictures_N3SS[start : start + READ_BATCH], device=self.device)
            yield as_input(batch)

    def _batch(self, x_N3SS: torch.Tensor) -> tuple[np.ndarray, ...]:
        skeletons = self.skeletonizer(x_N3SS)
        points_NJ2 = self.regressor(skeletons)
        drawn = self.alpha.draw(points_NJ2)
        apart_NHW = (drawn - skeletons).abs().mean(1) / 2
        centre_S = (torch.arange(self.alpha.size, device=self.device) + 0.5) / self.alpha.size
        x_NJW, y_NJH = ((points_NJ2[..., axis, None] - centre_S).square() for axis in (0, 1))
        weight_NJHW = torch.exp(-(y_NJH[..., None] + x_NJW[:, :, None]) / (2 * NEAR**2)) + 1e-12
        confidence_NJ = 1 - (weight_NJHW * apart_NHW[:, None]).sum((2, 3)) / weight_NJHW.sum((2, 3))
        again_NJ2 = self.prepared(drawn)
        plain_N = (again_NJ2 - points_NJ2).norm(dim=2).mean(1)
        other_N = (again_NJ2 - points_NJ2[:, list(self.alpha.skeleton.flip)]).norm(dim=2).mean(1)
        found = points_NJ2, confidence_NJ.clamp(0, 1), other_N < plain_N
        return tuple(t.cpu().numpy() for t in found)
