"""FlexPose on Ray: pose data for the domain you have, from the dozen annotations you can afford."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flexpose_ray.dataset.loaders import PoseDataset
    from flexpose_ray.models.model import PoseModel

__version__ = "0.1.0"


def load(uri: str | Path, batch: int | None = None, device: str = "cpu") -> PoseModel:
    """Load a model to sample poses in this process: ``flexpose_ray.load("builtin:coco").sample(1000)``.

    No Ray is started, nor imported.

    Args:
        uri: a pretrained or an adapted model: its folder, ``s3://bucket/prefix``, or ``builtin:NAME``.
        batch: poses a pass of the networks; what is fastest for the generator's kind where None.
        device: where the networks run, "cpu" or "cuda".

    Returns:
        The model, with ``sample``, ``images``, ``joints``, ``kind``, ``digest`` and ``card``.

    Raises:
        ConfigError: no shipped model of that name.
        StorageError: storage cannot be read.
        WeightsError: no model there, or it or the base that it was adapted from is damaged or another one.
    """
    from flexpose_ray.models.model import PoseModel  # here, so that importing the package costs nothing

    return PoseModel(uri, batch, device)


def open_dataset(uri: str | Path) -> PoseDataset:
    """Open a generated data set: ``flexpose_ray.open_dataset("s3://bucket/rowers").to_torch(batch=512)``.

    Args:
        uri: its folder or ``s3://bucket/prefix``.

    Returns:
        The poses that its newest manifest names, with ``to_arrow``, ``iter_arrow``, ``to_torch`` and ``to_ray``.

    Raises:
        StorageError: no published data set there, or storage cannot be read.
        DataError: the manifest is damaged.
    """
    from flexpose_ray.dataset.loaders import PoseDataset  # here, so that importing the package costs nothing
    from flexpose_ray.storage.open import open_store

    return PoseDataset(open_store(uri))
