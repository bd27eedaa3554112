"""FlexPose on Ray: pose data for the domain you have, from the dozen annotations you can afford."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flexpose_ray.dataset.loaders import PoseDataset

__version__ = "0.1.0"


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
