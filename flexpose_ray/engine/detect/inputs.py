"""Pictures and poses of a training on its storage: written once by the driver, read by every worker."""

from __future__ import annotations

import io

import numpy as np

from flexpose_ray.pictures.rows import PictureRows
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import poses_to_bytes, read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.training.unlabelled import Unlabelled

KEY, PRIOR, CLIPS = "key", "prior.parquet", "clips.npz"


def write_inputs(store: Store, key: str, pictures_N3SS: PictureRows, clip_N: np.ndarray, prior: PoseSet) -> None:
    """Write what workers read, unless it is there; a training that was begun with other data is begun anew.

    Args:
        store: of the training.
        key: of the training.
        pictures_N3SS: written in blocks, so that few are in memory at a time.
        clip_N: of the pictures.
        prior: the poses.
    """
    if store.exists(KEY) and store.get(KEY).decode() == key:
        return
    for old in store.list():
        store.delete(old)
    for number, block in enumerate(pictures_N3SS.blocks()):
        store.put(f"pictures/{number:05d}", block.tobytes())
    buffer = io.BytesIO()
    np.savez(buffer, clip_N=clip_N)
    store.put(CLIPS, buffer.getvalue())
    store.put(PRIOR, poses_to_bytes(prior))
    store.put(KEY, key.encode())


def read_inputs(store: Store, size: int) -> tuple[Unlabelled, PoseSet]:
    """What :func:`write_inputs` wrote; pictures stay on this machine's disk."""
    rows = PictureRows(size)
    for key in store.list("pictures/"):
        rows.append(np.frombuffer(store.get(key), np.uint8).reshape(-1, 3, size, size))
    with np.load(io.BytesIO(store.get(CLIPS)), allow_pickle=False) as arrays:
        pictures = Unlabelled(rows, arrays["clip_N"])
    return pictures, read_poses(f"{store.uri}/{PRIOR}")
