"""Two regularisers of StyleGAN's adversarial training, for comparison; both are off by default.

Style mixing (Karras et al., 2018): the coarse layers of an image take their styles from one latent, the fine ones from
another. Path lengths (Karras et al., 2020): a step in w is to move the image by the same amount everywhere. Numbers are
drawn by the step's number and shared out, as those of the step itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.networks.generator import Generator
from flexpose_ray.training.settings import Gather

MIXING, PATH = 6, 7  # kinds of numbers, in the counter of their generator
PATH_DECAY = 0.01  # weight of a step in the running mean of the lengths


@dataclass(frozen=True)
class Mixing:
    """Second latents of one network's images in one step.

    Attributes:
        z_NZ: the latents.
        first_N: the first style layer, from 0, that takes its style from them; the number of layers where none does.
    """

    z_NZ: torch.Tensor
    first_N: torch.Tensor

    @staticmethod
    def of_step(seed: int, step: int, part: int, batch: int, generator: Generator, probability: float) -> Mixing:
        """Draw for the whole batch.

        Args:
            seed, step: the address.
            part: 0 for the generator's own images, 1 for those that the discriminator learns from.
            batch: how many images.
            generator: it makes them.
            probability: of an image to be mixed; the layer from which it is one is any but the first.
        """
        rng, layers = _rng(seed, step, MIXING, part), generator.n_layers
        z_NZ = rng.standard_normal((batch, generator.z_size), np.float32)
        first_N = np.where(rng.random(batch) < probability, rng.integers(1, layers, size=batch), layers)
        return Mixing(torch.as_tensor(z_NZ), torch.as_tensor(first_N))

    def share(self, part: slice, device: torch.device) -> Mixing:
        """Some rows, on a device."""
        return Mixing(self.z_NZ[part].to(device), self.first_N[part].to(device))

    def images(self, generator: Generator, w_ND: torch.Tensor) -> torch.Tensor:
        """Images of w, with the finer styles of the second latents. An output layer goes with the layer before it."""
        other_ND = generator.mapping(self.z_NZ)

        def mixed(layer: int, a_NC: torch.Tensor, b_NC: torch.Tensor) -> torch.Tensor:
            return torch.where((self.first_N <= layer)[:, None], b_NC, a_NC)

        pairs = zip(generator.styles(w_ND), generator.styles(other_ND), strict=True)
        styles = [mixed(layer, *pair) for layer, pair in enumerate(pairs)]
        return generator.synthesis(styles, [mixed(2 * k, w_ND, other_ND) for k in range(len(generator.outputs))])


class PathLengths:
    """The penalty on path lengths, and the running mean of the lengths that it asks for.

    Args:
        gather: stacks the rows of all workers.
    """

    def __init__(self, gather: Gather):
        self.gather, self.mean = gather, 0.0

    def penalty(self, generator: Generator, z_NZ: torch.Tensor, noise_NCHW: torch.Tensor) -> torch.Tensor:
        """Mean squared deviation of the lengths from their running mean, which it updates.

        Args:
            generator: its parameters receive the gradients.
            z_NZ: this worker's latents.
            noise_NCHW: normal numbers of the images' shape: the directions in which lengths are measured.
        """
        w_ND = generator.mapping(z_NZ)
        images = generator.synthesis(generator.styles(w_ND), w_ND)
        along = (images * noise_NCHW).sum() / math.sqrt(generator.size**2)
        (slope_ND,) = torch.autograd.grad(along, w_ND, create_graph=True)
        length_N = (slope_ND.square().sum(1) + 1e-12).sqrt()
        everyone = self.gather(length_N.detach()).double().mean().item()
        self.mean += PATH_DECAY * (everyone - self.mean)
        return (length_N - self.mean).square().mean()


def path_noise(seed: int, step: int, batch: int, generator: Generator) -> torch.Tensor:
    """The step's normal numbers (N, C, H, W) for :meth:`PathLengths.penalty`, of the whole batch."""
    shape = batch, generator.config["channels"], generator.size, generator.size
    return torch.as_tensor(_rng(seed, step, PATH, 0).standard_normal(shape, np.float32))


def _rng(seed: int, step: int, kind: int, part: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=seed, counter=[0, part, kind, step]))
