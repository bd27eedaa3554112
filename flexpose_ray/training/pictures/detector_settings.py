"""Settings of a detector's training, and the networks that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.detector import Critic, DenseRegressor, HeatmapRegressor, Painter, Skeletonizer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.training.pictures.named_settings import NamedSettings

REGRESSORS = ("dense", "heatmap")


@dataclass(frozen=True)
class DetectorSettings(NamedSettings):
    """Settings of a detector; the defaults suit a CPU, KeypointGAN's own are size and skeleton_size 128, width 32,
    convs 2, channels 1, scales 3, regressor "heatmap".

    Attributes:
        size: side of pictures, pixels: ``skeleton_size`` times a whole number.
        skeleton_size: side of skeleton images, pixels; a multiple of 8.
        channels: of skeleton images; 3 draws limbs in colours, 1 in white.
        limb_width: of drawn limbs, crop units.
        width: features at the finest resolution.
        convs: convolutions at each resolution.
        scales: of the adversary.
        regressor: "dense" or "heatmap".
        batch: pictures a step, over all workers.
        lr: Adam's learning rate.
        prepare_steps: of the regressor alone, on drawings of poses, before the rest begins.
        steps: of all networks.
        cycle, adversary: weights in the loss of the skeletonizer and the painter.
        anchor: weight of annotated pictures in that loss, where there are any; 0 leaves them out.
        augment: 1 varies the supervised twin's pictures as annotated ones are: moved, mirrored and recoloured.
        average: how much of the averaged networks stays in a step.
        seed: of first values and all random draws.

    Raises:
        ConfigError: a value out of range, or sizes that do not fit each other.
    """

    where: ClassVar[str] = "detector"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "size": (8, 1024), "skeleton_size": (8, 1024), "channels": (1, 3), "limb_width": (1e-3, 0.5), "width": (8, 512),
        "convs": (1, 4), "scales": (1, 4), "batch": (1, 4096), "lr": (1e-8, 1.0), "prepare_steps": (0, 10**8),
        "steps": (1, 10**8), "cycle": (0.0, 1e6), "adversary": (0.0, 1e6), "anchor": (0.0, 1e6), "augment": (0, 1),
        "average": (0.0, 0.999999), "seed": (0, 2**32),
    }  # fmt: skip

    size: int = 64
    skeleton_size: int = 16
    channels: int = 3
    limb_width: float = 0.04
    width: int = 16
    convs: int = 1
    scales: int = 1
    regressor: str = "dense"
    batch: int = 16
    lr: float = 7e-4
    prepare_steps: int = 1200
    steps: int = 2000
    cycle: float = 10.0
    adversary: float = 10.0
    anchor: float = 30.0
    augment: int = 0
    average: float = 0.995
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.skeleton_size % 8 or self.size % self.skeleton_size:
            problem = f"pictures of {self.size} and skeleton images of {self.skeleton_size} pixels"
            way_out = "choose a multiple of 8 for skeleton_size and a multiple of that for size"
            raise ConfigError("detector", problem, way_out)
        if self.width % 8:
            raise ConfigError("detector.width", f"{self.width}", "choose a multiple of 8")
        if self.channels == 2:
            raise ConfigError("detector.channels", "2", "choose 3 (colour) or 1")
        if self.skeleton_size >> self.scales < 4:
            problem = f"{self.scales} of skeleton images of {self.skeleton_size} pixels"
            raise ConfigError("detector.scales", problem, "choose fewer, or a larger skeleton_size")
        if self.regressor not in REGRESSORS:
            raise ConfigError("detector.regressor", f"{self.regressor!r}", f"choose one of {', '.join(REGRESSORS)}")

    @property
    def stem(self) -> int:
        """How many pixels of a picture make one of its skeleton image."""
        return self.size // self.skeleton_size

    def alpha(self, skeleton: str) -> Alpha:
        """How skeleton images of a skeleton are drawn."""
        return Alpha(skeleton, self.skeleton_size, self.channels, "exponential", self.limb_width)

    def networks(self, joints: int) -> torch.nn.ModuleDict:
        """New networks with first values from the seed."""
        shape = self.channels, self.width, self.convs
        halvings = 2 if self.skeleton_size < 64 else 3
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return torch.nn.ModuleDict(
                {
                    "skeletonizer": Skeletonizer(*shape, self.stem),
                    "painter": Painter(*shape, self.stem),
                    "regressor": self._regressor(joints),
                    "critic": Critic(self.channels, 3 * self.width // 2, self.scales, halvings),
                }
            )

    def _regressor(self, joints: int) -> DenseRegressor | HeatmapRegressor:
        if self.regressor == "dense":
            return DenseRegressor(self.channels, self.skeleton_size, joints)
        return HeatmapRegressor(self.channels, joints, self.width, self.convs)
