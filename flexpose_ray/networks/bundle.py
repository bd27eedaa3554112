"""The networks of a source and what belongs to them, as one argument."""

from __future__ import annotations

from dataclasses import dataclass

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.moments import Moments


@dataclass(frozen=True)
class Networks:
    """All that adaptation starts from.

    Attributes:
        generator: g_s, latents to skeleton images of source poses.
        discriminator: trained with it.
        beta: reads poses from these images.
        alpha: how poses are drawn.
        source: mean and covariance of the poses that the generator was trained on.
    """

    generator: Generator
    discriminator: Discriminator
    beta: Beta
    alpha: Alpha
    source: Moments
