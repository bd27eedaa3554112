"""A detector's supervised twin: the same networks and steps, with the true pose of every picture.

What a detector without annotations could reach at most; and what a detector that is trained on made pictures is.
"""

from __future__ import annotations

import numpy as np
import torch

from flexpose_ray.training.pictures.detector import AVERAGED, DRAWN, DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.moves import DRAWS, varied
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE, Worker


class SupervisedTrainer(DetectorTrainer):
    """Trains skeletonizer and regressor alone; used as
    :class:`~flexpose_ray.training.pictures.detector.DetectorTrainer`.

    Args:
        poses_NJ2: of the pictures, row by row; crop units.
    """

    def __init__(
        self,
        skeleton: str,
        pictures: Unlabelled,
        poses_NJ2: np.ndarray,
        settings: DetectorSettings,
        worker: Worker = SINGLE,
    ):
        super().__init__(skeleton, pictures, poses_NJ2, settings, worker)
        del self.optimizers["generators"], self.optimizers["critic"], self.optimizers["regressor"]
        self.optimizers["reader"] = self._adam("skeletonizer", "regressor")

    def _all(self, rng: np.random.Generator) -> dict[str, float]:
        rows_N = rng.integers(len(self.prior_NJ2), size=self.settings.batch)
        wanted = self.prior_NJ2[torch.as_tensor(self._mine(rows_N))]
        x = self._pictures(rows_N)
        if self.settings.augment:
            jitter_N8 = self._tensor(rng.random((len(rows_N), DRAWS), np.float32))
            x, wanted = varied(x, wanted, jitter_N8, self.alpha.skeleton.flip)
        points, drawn = self._misread(x, wanted)
        self._update({"reader": (points + DRAWN * drawn, ("skeletonizer", "regressor"))})
        self._average(AVERAGED, self.step_count - self.settings.prepare_steps)
        return {"points": points.item(), "drawn": drawn.item()}
