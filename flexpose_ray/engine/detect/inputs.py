"""Pictures and poses of a training on its storage: written once by the driver, read by every worker."""

from __future__ import annotations

import io

import numpy as np

from flexpose_ray.pictures.annotated import AnnotatedPictures
from flexpose_ray.pictures.rows import PictureRows
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import poses_to_bytes, read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.training.pictures.anchors import Anchors
from flexpose_ray.training.pictures.unlabelled import Unlabelled

KEY, PRIOR, CLIPS, ANNOTATED = "key", "prior.parquet", "clips.npz", "annotated.npz"


def write_inputs(
    store: Store,
    key: str,
    pictures_N3SS: PictureRows,
    clip_N: np.ndarray,
    prior: PoseSet,
    annotated: AnnotatedPictures | None = None,
) -> None:
    """Write what workers read, unless it is there; a training that was begun with other data is begun anew.

    Args:
        store: of the training.
        key: of the training.
        pictures_N3SS: written in blocks, so that few are in memory at a time.
        clip_N: of the pictures.
        prior: the poses.
        annotated: a few pictures with their poses.
    """
    if store.exists(KEY) and store.get(KEY).decode() == key:
        return
    for old in store.list():
        store.delete(old)
    for number, block in enumerate(pictures_N3SS.blocks()):
        store.put(f"pictures/{number:05d}", block.tobytes())
    _put_arrays(store, CLIPS, clip_N=clip_N)
    if annotated is not None:
        arrays = {"pictures_N3SS": annotated.pictures_N3SS[:], "poses_NJ2": annotated.poses.keypoints_NJ2}
        _put_arrays(store, ANNOTATED, **arrays)
    store.put(PRIOR, poses_to_bytes(prior))
    store.put(KEY, key.encode())


def read_inputs(store: Store, size: int) -> tuple[Unlabelled, PoseSet, Anchors | None]:
    """What :func:`write_inputs` wrote; pictures stay on this machine's disk."""
    rows = PictureRows(size)
    for key in store.list("pictures/"):
        rows.append(np.frombuffer(store.get(key), np.uint8).reshape(-1, 3, size, size))
    pictures = Unlabelled(rows, _get_arrays(store, CLIPS)["clip_N"])
    anchors = Anchors(**_get_arrays(store, ANNOTATED)) if store.exists(ANNOTATED) else None
    return pictures, read_poses(f"{store.uri}/{PRIOR}"), anchors


def _put_arrays(store: Store, key: str, **arrays: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    store.put(key, buffer.getvalue())


def _get_arrays(store: Store, key: str) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(store.get(key)), allow_pickle=False) as arrays:
        return dict(arrays)
