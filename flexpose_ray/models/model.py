"""A model in this process: poses as arrays, without Ray and without a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.models.generators import sampler_of
from flexpose_ray.models.weights import read_model
from flexpose_ray.networks.bundle import Kind
from flexpose_ray.pose.skeleton import Skeleton

AT_ONCE = 65_536  # poses whose normal numbers are held at a time
SEEDS = 2**64
ADDRESSES = 2**63  # an index is less


class PoseModel:
    """A pretrained or adapted generator, ready to sample.

    A pose depends on (:attr:`digest`, seed, index), as in a data set of ``flexpose generate``: on the same kind of
    machine it has the same bytes there, if shards begin where the calls of :meth:`sample` do and the batch is the same,
    and otherwise differs by rounding. Poses that a data set's gate replaced are still here.

    Args:
        uri: the model's folder, ``s3://bucket/prefix``, or ``builtin:NAME`` of the package.
        batch: poses a pass of the networks; what is fastest for the generator's kind where None, as in a data set.
        device: where the networks run, "cpu" or "cuda".

    Raises:
        ConfigError: no shipped model of that name.
        StorageError: storage cannot be read.
        WeightsError: no model there, or it or the base that it was adapted from is damaged or another one.
    """

    def __init__(self, uri: str | Path, batch: int | None = None, device: torch.device | str = "cpu"):
        if batch is not None and batch < 1:
            raise ConfigError("batch", f"{batch} poses a pass", "give 1 or more")
        model = read_model(str(uri))
        self._sampler = sampler_of(model, str(uri), batch, device)
        self.card: dict[str, Any] = model.card

    def __repr__(self) -> str:
        return f"PoseModel(kind={self.kind!r}, skeleton={self.skeleton.name!r}, digest={self.digest[:16]!r})"

    @property
    def kind(self) -> Kind:
        """The generator's kind: "flow", or "stylegan"."""
        return self._sampler.kind

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides its poses: 64 hexadecimal digits."""
        return self._sampler.digest

    @property
    def skeleton(self) -> Skeleton:
        """Joints, limbs and mirrored joints of its poses."""
        return self._sampler.alpha.skeleton

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the J joints, in the order of the keypoints."""
        return self.skeleton.joints

    @property
    def batch(self) -> int:
        """Poses a pass of the networks."""
        return self._sampler.batch

    @overload
    def sample(self, count: int, seed: int = 0, start: int = 0, confidence: Literal[False] = False) -> np.ndarray: ...

    @overload
    def sample(
        self, count: int, seed: int = 0, start: int = 0, *, confidence: Literal[True]
    ) -> tuple[np.ndarray, np.ndarray]: ...

    def sample(self, count, seed=0, start=0, confidence=False):
        """Sample poses; the same call gives the same poses again.

        It takes one core. ``flexpose generate`` takes all, and a gate then looks at every pose.

        Args:
            count: number of poses, 0 or more.
            seed: 0 to 2^64 - 1; other seeds give other poses.
            start: index of the first, 0 or more: ``sample(5, start=10)`` continues ``sample(10)``.
            confidence: give it too.

        Returns:
            keypoints_NJ2: float32 in crop units: x to the right and y down, 0 to 1 from edge to edge of the square, in
                which the pose's bounding box is centred, its longer side 0.8.
            confidence_NJ: where asked for: float32 in [0, 1] for every joint.

        Raises:
            ConfigError: count, seed or start is out of range.
        """
        for name, value, end in (("count", count, ADDRESSES), ("seed", seed, SEEDS), ("start", start, ADDRESSES)):
            if not 0 <= value < end:
                raise ConfigError(name, f"{value} is out of range", f"give a number from 0 to {end - 1}")
        size, n_joints = self.batch * max(1, AT_ONCE // self.batch), len(self.joints)
        keypoints_NJ2 = np.empty((count, n_joints, 2), np.float32)
        confidence_NJ = np.empty((count, n_joints), np.float32)
        with _as_generated():
            for first in range(0, count, size):
                rows = slice(first, min(first + size, count))
                found = self._sampler.sample(seed, np.arange(start + rows.start, start + rows.stop))
                keypoints_NJ2[rows], confidence_NJ[rows] = found
        return (keypoints_NJ2, confidence_NJ) if confidence else keypoints_NJ2

    def images(self, keypoints_NJ2: np.ndarray, size: int | None = None) -> np.ndarray:
        """Draw poses as skeletons, as a data set's pictures are.

        Args:
            keypoints_NJ2: any poses of the model's joints, crop units.
            size: side of an image in pixels; that of the generator's own images where None.

        Returns:
            images_NHWC: uint8, RGB (C = 3) or grey (C = 1), black where there is no limb.

        Raises:
            DataError: keypoints of another shape, or NaN.
            ConfigError: a size that is not positive.
        """
        keypoints_NJ2 = np.asarray(keypoints_NJ2, np.float32)
        wanted = (len(self.joints), 2)
        if keypoints_NJ2.ndim != 3 or keypoints_NJ2.shape[1:] != wanted:
            raise DataError("keypoints", f"expected (N, {wanted[0]}, 2), found {keypoints_NJ2.shape}")
        if not np.isfinite(keypoints_NJ2).all():
            raise DataError("keypoints", "hold NaN or infinity", "drop or complete such poses")
        alpha = self._sampler.alpha if size is None else replace(self._sampler.alpha, size=size)
        images_NHWC = np.empty((len(keypoints_NJ2), alpha.size, alpha.size, alpha.channels), np.uint8)
        for image_HWC, keypoints_J2 in zip(images_NHWC, keypoints_NJ2, strict=True):
            image_HWC[:] = alpha.draw_cv(keypoints_J2)
        return images_NHWC


@contextmanager
def _as_generated() -> Iterator[None]:
    """One torch thread and repeatable kernels, as where data sets are rendered: others round otherwise."""
    threads, deterministic = torch.get_num_threads(), torch.backends.cudnn.deterministic
    torch.set_num_threads(1)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.backends.cudnn.deterministic = deterministic
