"""Settings of a translator's training, and the networks that they describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.detector import Critic
from flexpose_ray.networks.translator import Translator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.training.pictures.named_settings import NamedSettings


@dataclass(frozen=True)
class TranslatorSettings(NamedSettings):
    """Settings of a translator; the defaults suit a CPU. CycleGAN's own are size 256, width 64, blocks 9, stem 1,
    critic_width 64, halvings 3, batch 1, lr 2e-4, and channels 1 in the paper.

    Attributes:
        size: side of pictures and skeleton images, pixels; a multiple of 8.
        channels: of skeleton images; 3 draws limbs in colours, 1 in white.
        limb_width: of drawn limbs, crop units.
        width: features at the finest resolution.
        blocks: residual blocks.
        stem: stride of the first convolution, 1 or 2.
        critic_width: features of the critics at their finest resolution.
        halvings: of the critics: each sees patches of about 2 to the power of (halvings + 3) pixels.
        pool: former results that critics see again, of each kind; 0 leaves that out.
        batch: pictures a step, over all workers.
        lr: Adam's learning rate; in the second half of the steps it falls to 0.
        steps: of all networks.
        cycle: weight of what comes back, beside the adversaries' 1.
        identity: weight of leaving alone what is translated already; needs 3 channels.
        average: how much of the averaged networks stays in a step.
        seed: of first values and all random draws.

    Raises:
        ConfigError: a value out of range, or an identity of other channels.
    """

    where: ClassVar[str] = "translator"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "size": (16, 1024), "channels": (1, 3), "limb_width": (1e-3, 0.5), "width": (8, 512), "blocks": (1, 16),
        "stem": (1, 2), "critic_width": (8, 512), "halvings": (1, 5), "pool": (0, 10_000), "batch": (1, 4096),
        "lr": (1e-8, 1.0), "steps": (1, 10**8), "cycle": (0.0, 1e6), "identity": (0.0, 1e6), "average": (0.0, 0.999999),
        "seed": (0, 2**32),
    }  # fmt: skip

    size: int = 64
    channels: int = 3
    limb_width: float = 0.03
    width: int = 24
    blocks: int = 3
    stem: int = 2
    critic_width: int = 24
    halvings: int = 2
    pool: int = 50
    batch: int = 4
    lr: float = 4e-4
    steps: int = 4000
    cycle: float = 10.0
    identity: float = 0.0
    average: float = 0.995
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        if self.size % 8:
            raise ConfigError("translator.size", f"{self.size}", "choose a multiple of 8")
        if self.channels == 2:
            raise ConfigError("translator.channels", "2", "choose 3 (colour) or 1")
        if self.identity and self.channels != 3:
            problem = f"{self.identity:g} with skeleton images of {self.channels} channel"
            raise ConfigError("translator.identity", problem, "set channels=3, or identity=0")
        if self.size >> self.halvings < 4:
            problem = f"{self.halvings} of images of {self.size} pixels"
            raise ConfigError("translator.halvings", problem, "choose fewer, or a larger size")

    def alpha(self, skeleton: str) -> Alpha:
        """How skeleton images of a skeleton are drawn."""
        return Alpha(skeleton, self.size, self.channels, "exponential", self.limb_width)

    def networks(self, joints: int) -> torch.nn.ModuleDict:
        """New networks with first values from the seed."""
        shape = self.width, self.blocks, self.stem
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return torch.nn.ModuleDict(
                {
                    "painter": Translator(self.channels, 3, *shape),
                    "skeletonizer": Translator(3, self.channels, *shape),
                    "picture_critic": Critic(3, self.critic_width, 1, self.halvings),
                    "skeleton_critic": Critic(self.channels, self.critic_width, 1, self.halvings),
                }
            )
