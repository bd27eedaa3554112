"""The networks of a source and what belongs to them, as one argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.networks.sampler import UNKNOWN, FlowSampler, ModelFacts, PoseSampler, StyleGanSampler
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.moments import Moments

Kind = Literal["flow", "stylegan"]


@dataclass(frozen=True)
class Networks:
    """All that adaptation starts from.

    Attributes:
        generator: g_s: latents to skeleton images of source poses (StyleGAN), or to poses (flow).
        discriminator: trained with a StyleGAN; None for a flow, and for a StyleGAN that a flow has taught alone.
        beta: reads poses from a StyleGAN's images; None for a flow.
        alpha: how poses are drawn.
        source: mean and covariance of the poses that the generator was trained on.
    """

    generator: Generator | PoseFlow
    discriminator: Discriminator | None
    beta: Beta | None
    alpha: Alpha
    source: Moments

    @property
    def kind(self) -> Kind:
        return "flow" if isinstance(self.generator, PoseFlow) else "stylegan"

    def sampler(
        self,
        transfer: Transfer | None = None,
        batch: int | None = None,
        device: torch.device | str = "cpu",
        facts: ModelFacts = UNKNOWN,
    ) -> PoseSampler:
        """Sampler of the generator's kind; arguments as :class:`PoseSampler`."""
        if isinstance(self.generator, PoseFlow):
            return FlowSampler(self.generator, self.alpha, transfer, batch, device, facts)
        return StyleGanSampler(self.generator, self.beta, self.alpha, transfer, batch, device, facts)

    def need_stylegan(self, what: str) -> None:
        """Check that there are style layers and images.

        Raises:
            ConfigError: this is a flow, which has neither; the message says that ``what`` needs them.
        """
        if self.kind != "stylegan":
            raise ConfigError(what, "needs a StyleGAN, and this generator is a flow", "add --kind stylegan")

    def need_discriminator(self, what: str) -> Discriminator:
        """The discriminator.

        Raises:
            ConfigError: there is none.
        """
        self.need_stylegan(what)
        if self.discriminator is None:
            hint = "use one that was trained adversarially (pretrain.teacher=none)"
            raise ConfigError(what, "needs a discriminator, and this generator has none", hint)
        return self.discriminator
