"""The simple methods and references: no network is trained. A learned method has to beat them.

The first functions make poses from poses, the others are methods (:class:`Method`) built on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from flexpose_ray.errors import DataError
from flexpose_ray.methods.base import AdaptationTask, DrawPoses, MethodResult, OnStep, PoseTask, Share, drawn_by
from flexpose_ray.methods.blending import SAMPLES, BlendSettings, fit_blend
from flexpose_ray.methods.guidance import need_two
from flexpose_ray.methods.target_moments import shrink_of, transport_map
from flexpose_ray.networks.blend import NUMBERS
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.moments import moments

LEAST_STD = 1e-6  # of a coordinate, crop units


def draw_poses(poses_NJ2: np.ndarray, count: int, seed: int, what: str = "source poses") -> np.ndarray:
    """``count`` poses of a set, float32, each at most once where there are enough.

    Raises:
        DataError: an empty set, which the error calls ``what``.
    """
    _at_least(1, poses_NJ2, what)
    rows_N = np.random.default_rng(seed).choice(len(poses_NJ2), count, replace=count > len(poses_NJ2))
    return np.asarray(poses_NJ2, np.float32)[rows_N]


def shift_poses(source_NJ2: np.ndarray, shots_NJ2: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Source poses moved by the difference of the mean poses: the source's spread around the shots' mean.

    Raises:
        DataError: no source poses or no shots.
    """
    _at_least(1, shots_NJ2, "shots")
    drawn_NJ2 = draw_poses(source_NJ2, count, seed)
    return (drawn_NJ2 + (np.mean(shots_NJ2, 0) - np.mean(source_NJ2, 0))).astype(np.float32)


def coral_poses(
    source_NJ2: np.ndarray, shots_NJ2: np.ndarray, count: int, seed: int, shrink: float | None = None
) -> np.ndarray:
    """Source poses under the affine map to the shots' mean and a covariance between both sets'.

    The map is :func:`transport_map` to the covariance C = (1 - shrink) Cs + shrink Ct.

    Args:
        source_NJ2: at least two poses, crop units.
        shots_NJ2: at least two poses, crop units.
        count: number of poses to make.
        seed: draws the source poses that are mapped.
        shrink: weight of the shots' covariance. A dozen shots have a singular covariance that misses most of the
            target's spread, so the source has to supply it: 0 is :func:`shift_poses`, 1 trusts the shots alone, None
            calls :func:`choose_shrink`. On COCO -> Penn Action, MPII and LSP (12 to 26 shots, 6 draws each) FD is flat
            and lowest from 0.1 to 0.3.

    Raises:
        DataError: fewer than two source poses or shots.
    """
    _at_least(2, source_NJ2, "source poses")
    _at_least(2, shots_NJ2, "shots")
    drawn_NJ2 = draw_poses(source_NJ2, count, seed)
    source, shots = moments(source_NJ2), moments(shots_NJ2)
    shrink = shrink_of(shrink, source[1], shots_NJ2)
    map_DD = transport_map(source[1], (1 - shrink) * source[1] + shrink * shots[1])
    mapped_ND = (drawn_NJ2.reshape(count, -1) - source[0]) @ map_DD + shots[0]
    return mapped_ND.reshape(drawn_NJ2.shape).astype(np.float32)


@dataclass(frozen=True)
class NoSettings:
    """There is nothing to set."""


@dataclass(frozen=True)
class CoralSettings:
    """Settings of CORAL.

    Attributes:
        shrink: weight of the shots' covariance, the rest is the source's; None chooses it from the shots.
    """

    shrink: Share | None = None


@dataclass(frozen=True)
class MixupNoiseSettings(CoralSettings):
    """Settings of pose-mixup with noise.

    Attributes:
        noise: standard deviation of the noise on every mixed pose, as a share of the target's estimated spread.
    """

    noise: Share = 0.5


def unadapted(task: AdaptationTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """The generator as it is."""
    return MethodResult(drawn_by(task.networks.generator, task, device), 0, {})


def direct(task: AdaptationTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """Source poses and the shots as they are: the poster's baseline."""
    both_NJ2 = np.concatenate([task.source_NJ2, task.sides_NJ2])
    return _fitted(lambda count, seed: draw_poses(both_NJ2, count, seed), 0, task)


def aligned(task: AdaptationTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """Real target poses, many more than anyone would annotate."""
    poses_NJ2 = task.aligned_NJ2
    return MethodResult(
        lambda count, seed: draw_poses(poses_NJ2, count, seed), 0, {"poses": torch.as_tensor(poses_NJ2)}
    )


def shots_alone(task: PoseTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """The shots, drawn again and again."""
    return _fitted(lambda count, seed: draw_poses(task.sides_NJ2, count, seed, "shots"), 0, task)


def pose_mixup(task: PoseTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """Pose-mixup of the shots."""
    need_two(task.shots_NJ2)
    return _fitted(task.mixed, 0, task)


def mean_shift(task: PoseTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """:func:`shift_poses` to the shots."""
    draw = lambda count, seed: shift_poses(task.source_NJ2, task.sides_NJ2, count, seed)  # noqa: E731
    return _fitted(draw, _size(task), task)


def coral(task: PoseTask, settings: CoralSettings, on_step: OnStep, device: str) -> MethodResult:
    """:func:`coral_poses` to the shots."""
    shrink = _shrink(task, settings)
    draw = lambda count, seed: coral_poses(task.source_NJ2, task.sides_NJ2, count, seed, shrink)  # noqa: E731
    return _fitted(draw, _size(task) * (_size(task) + 1), task)


def diagonal(task: PoseTask, settings: NoSettings, on_step: OnStep, device: str) -> MethodResult:
    """Source poses, every coordinate brought to the shots' mean and standard deviation."""
    (mean_D, source_DD), (wanted_D, wanted_DD) = moments(task.source_NJ2), moments(task.guidance(0, 0))
    factor_D = np.sqrt(wanted_DD.diagonal()) / np.maximum(np.sqrt(source_DD.diagonal()), LEAST_STD)

    def draw(count: int, seed: int) -> np.ndarray:
        drawn_NJ2 = draw_poses(task.source_NJ2, count, seed)
        return ((drawn_NJ2.reshape(count, -1) - mean_D) * factor_D + wanted_D).reshape(drawn_NJ2.shape)

    return _fitted(draw, 2 * _size(task), task)


def mixup_noise(task: PoseTask, settings: MixupNoiseSettings, on_step: OnStep, device: str) -> MethodResult:
    """Pose-mixup with noise of a covariance between the source's and the shots'."""
    shrink = _shrink(task, settings)
    (_, source_DD), (_, shots_DD) = moments(task.source_NJ2), moments(task.sides_NJ2)
    values_D, vectors_DD = np.linalg.eigh((1 - shrink) * source_DD + shrink * shots_DD)
    root_DD = settings.noise * np.sqrt(values_D.clip(0))[:, None] * vectors_DD.T

    def draw(count: int, seed: int) -> np.ndarray:
        mixed_NJ2 = task.mixed(count, seed)
        noise_ND = np.random.default_rng([seed, 1]).standard_normal((count, len(root_DD))) @ root_DD
        return mixed_NJ2 + noise_ND.reshape(mixed_NJ2.shape)

    return _fitted(draw, _size(task) ** 2, task)


def blended(task: AdaptationTask, settings: BlendSettings, on_step: OnStep, device: str) -> MethodResult:
    """FlexPose's blend with source poses instead of generated ones: it shows what the generator contributes."""
    need_two(task.shots_NJ2)
    poses_NJ2 = draw_poses(task.source_NJ2, SAMPLES, 0)
    blend = fit_blend(poses_NJ2, task.networks.source, task.shots_NJ2, task.skeleton, settings, 0)

    def draw(count: int, seed: int) -> np.ndarray:
        drawn_NJ2 = torch.as_tensor(draw_poses(task.source_NJ2, count, seed))
        return blend(drawn_NJ2, torch.as_tensor(latents(seed, np.arange(count), NUMBERS))).numpy()

    tensors = dict(blend.state_dict())
    return MethodResult(draw, sum(t.numel() for t in tensors.values()), tensors)


def _fitted(draw: DrawPoses, parameters: int, task: PoseTask) -> MethodResult:
    """The result of a method that is a function of the source set and the shots, so that it stores the shots alone."""
    if not len(task.shots_NJ2):
        raise DataError("shots", "at least 1 wanted, found 0", "annotate more poses")
    return MethodResult(draw, parameters, {"shots": torch.as_tensor(task.shots_NJ2)})


def _shrink(task: PoseTask, settings: CoralSettings) -> float:
    """The weight of the shots' covariance, chosen without mirror images: one must not vouch for its own shot."""
    need_two(task.shots_NJ2)
    _at_least(2, task.source_NJ2, "source poses")
    return shrink_of(settings.shrink, moments(task.source_NJ2)[1], task.shots_NJ2)


def _at_least(least: int, poses_NJ2: np.ndarray, what: str) -> None:
    if len(poses_NJ2) < least:
        raise DataError(what, f"at least {least} wanted, found {len(poses_NJ2)}", "give a larger set")


def _size(task: PoseTask) -> int:
    return int(np.prod(task.shots_NJ2.shape[1:]))
