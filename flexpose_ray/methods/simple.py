"""The methods without training, in the form of all others: those of keypoint.py, and three more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.errors import DataError
from flexpose_ray.methods import keypoint
from flexpose_ray.methods.base import Draw, Given, GivenPoses, Learned, OnStep, Share, drawn_by
from flexpose_ray.methods.blending import SAMPLES, BlendSettings, fit_blend
from flexpose_ray.networks.blend import NUMBERS
from flexpose_ray.pose.latents import latents

LEAST_STD = 1e-6  # of a coordinate, crop units


@dataclass(frozen=True)
class NoSettings:
    """There is nothing to set."""


@dataclass(frozen=True)
class CoralSettings:
    """Attributes:
    shrink: weight of the shots' covariance, the rest is the source's; None chooses it from the shots.
    """

    shrink: Share | None = None


@dataclass(frozen=True)
class MixupNoiseSettings(CoralSettings):
    """Attributes:
    noise: share of the target's estimated spread that every mixed pose is moved by, at random.
    """

    noise: Share = 0.5


def unadapted(given: Given, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    """The generator as it is."""
    return Learned(drawn_by(given.generator, given, device), 0, {})


def direct(given: Given, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    """Source poses and the shots, no method: the poster's baseline."""
    both_NJ2 = np.concatenate([given.source_NJ2, given.sides_NJ2])
    return _fitted(lambda count, seed: keypoint.source_as_is(both_NJ2, None, count, seed), 0, given)


def aligned(given: Given, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    """Real target poses, of which nobody has that many."""
    poses_NJ2 = given.aligned_NJ2
    draw = lambda count, seed: keypoint.source_as_is(poses_NJ2, None, count, seed)  # noqa: E731
    return Learned(draw, 0, {"poses": torch.as_tensor(poses_NJ2)})


def shots_alone(given: GivenPoses, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    return _fitted(lambda count, seed: keypoint.shots_alone(None, given.sides_NJ2, count, seed), 0, given)


def pose_mixup(given: GivenPoses, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    given.guidance(0, 0)
    return _fitted(given.mixed, 0, given)


def mean_shift(given: GivenPoses, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    def draw(count: int, seed: int) -> np.ndarray:
        return keypoint.mean_shift(given.source_NJ2, given.sides_NJ2, count, seed)

    return _fitted(draw, _size(given), given)


def coral(given: GivenPoses, settings: CoralSettings, on_step: OnStep, device: str) -> Learned:
    shrink = _shrink(given, settings)

    def draw(count: int, seed: int) -> np.ndarray:
        return keypoint.coral(given.source_NJ2, given.sides_NJ2, count, seed, shrink)

    return _fitted(draw, _size(given) * (_size(given) + 1), given)


def diagonal(given: GivenPoses, settings: NoSettings, on_step: OnStep, device: str) -> Learned:
    """Source poses, every coordinate brought to the shots' mean and standard deviation."""
    sides_NJ2 = given.guidance(0, 0)
    (mean_J2, std_J2), (wanted_J2, wanted_std_J2) = (
        (x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64, ddof=1)) for x in (given.source_NJ2, sides_NJ2)
    )
    factor_J2 = wanted_std_J2 / np.maximum(std_J2, LEAST_STD)

    def draw(count: int, seed: int) -> np.ndarray:
        drawn_NJ2 = keypoint.source_as_is(given.source_NJ2, None, count, seed)
        return (drawn_NJ2 - mean_J2) * factor_J2 + wanted_J2

    return _fitted(draw, 2 * _size(given), given)


def mixup_noise(given: GivenPoses, settings: MixupNoiseSettings, on_step: OnStep, device: str) -> Learned:
    """Pose-mixup with noise of a covariance between the source's and the shots'."""
    shrink = _shrink(given, settings)
    source_DD, sides_DD = _covariance(given.source_NJ2), _covariance(given.sides_NJ2)
    values_D, vectors_DD = np.linalg.eigh((1 - shrink) * source_DD + shrink * sides_DD)
    root_DD = settings.noise * np.sqrt(values_D.clip(0))[:, None] * vectors_DD.T

    def draw(count: int, seed: int) -> np.ndarray:
        mixed_NJ2 = given.mixed(count, seed)
        noise_ND = np.random.default_rng([seed, 1]).standard_normal((count, len(root_DD))) @ root_DD
        return mixed_NJ2 + noise_ND.reshape(mixed_NJ2.shape)

    return _fitted(draw, _size(given) ** 2, given)


def blended(given: Given, settings: BlendSettings, on_step: OnStep, device: str) -> Learned:
    """FlexPose's blend with poses of the source in the generator's place: what the generator is worth there."""
    given.guidance(0, 0)
    poses_NJ2 = keypoint.source_as_is(given.source_NJ2, None, SAMPLES, 0)
    blend = fit_blend(poses_NJ2, given.source, given.shots_NJ2, given.skeleton, settings, 0)

    def draw(count: int, seed: int) -> np.ndarray:
        drawn_NJ2 = torch.as_tensor(keypoint.source_as_is(given.source_NJ2, None, count, seed))
        return blend(drawn_NJ2, torch.as_tensor(latents(seed, np.arange(count), NUMBERS))).numpy()

    tensors = dict(blend.state_dict())
    return Learned(draw, sum(t.numel() for t in tensors.values()), tensors)


def _fitted(draw: Draw, parameters: int, given: GivenPoses) -> Learned:
    """What a method leaves that is a function of the source set and the shots: the shots are all it has to keep."""
    if not len(given.shots_NJ2):
        raise DataError("shots", "at least 1 wanted, found 0", "annotate more poses")
    return Learned(draw, parameters, {"shots": torch.as_tensor(given.shots_NJ2)})


def _shrink(given: GivenPoses, settings: CoralSettings) -> float:
    """The weight of the shots' covariance; a shot's own mirror image may not speak for it."""
    given.guidance(0, 0)  # at least two shots
    keypoint.at_least(2, given.source_NJ2, "source poses")
    return keypoint.shrink_of(settings.shrink, _covariance(given.source_NJ2), given.shots_NJ2)


def _covariance(poses_NJ2: np.ndarray) -> np.ndarray:
    return np.cov(poses_NJ2.reshape(len(poses_NJ2), -1).astype(np.float64), rowvar=False)


def _size(given: GivenPoses) -> int:
    return int(np.prod(given.shots_NJ2.shape[1:]))
