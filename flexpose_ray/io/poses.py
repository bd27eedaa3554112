"""Pose sets on storage: one Parquet file of plain Arrow types, the same bytes for the same poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.core.errors import DataError
from flexpose_ray.core.poses import PoseSet
from flexpose_ray.core.skeleton import get_skeleton
from flexpose_ray.io.store import Store, open_store

FORMAT = "1"
SKELETON_KEY, FORMAT_KEY = b"flexpose.skeleton", b"flexpose.format"


def write_poses(uri: str | Path, poses: PoseSet) -> None:
    """Write a pose set to ``uri``, a file such as ``sets/coco.parquet`` or ``s3://bucket/sets/coco.parquet``.

    Columns: ``keypoints`` FixedSizeList<float32>[2J] in crop units, ``crop`` FixedSizeList<float32>[3] (scale and
    offset back to pixels), ``group`` and ``label`` strings; skeleton and format version stand in the schema's metadata.

    Raises:
        StorageError: storage that cannot be written.
    """
    store, name = _locate(uri)
    store.put(name, poses_to_bytes(poses))


def read_poses(uri: str | Path) -> PoseSet:
    """Read a pose set that :func:`write_poses` wrote.

    Raises:
        StorageError: not there, or storage that cannot be read.
        DataError: not Parquet, or not a pose set of this format.
    """
    store, name = _locate(uri)
    return poses_from_bytes(store.get(name), str(uri))


def poses_to_bytes(poses: PoseSet) -> bytes:
    """Render a pose set as Parquet; the same poses give the same bytes under the same pyarrow."""
    width = 2 * poses.skeleton.n_joints
    columns = {
        "keypoints": pa.FixedSizeListArray.from_arrays(pa.array(poses.keypoints_NJ2.reshape(-1)), width),
        "crop": pa.FixedSizeListArray.from_arrays(pa.array(np.float32(poses.crop_N3).reshape(-1)), 3),
        "group": pa.array(poses.group_N.astype(str), pa.string()),
        "label": pa.array(poses.label_N.astype(str), pa.string()),
    }
    table = pa.table(columns).replace_schema_metadata(
        {SKELETON_KEY: poses.skeleton_name.encode(), FORMAT_KEY: FORMAT.encode()}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=65_536)
    return sink.getvalue().to_pybytes()


def poses_from_bytes(content: bytes, where: str) -> PoseSet:
    """Read the Parquet bytes of a pose set; ``where`` names them in errors."""
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as e:
        raise DataError(where, f"not a readable Parquet file: {e}", "write it anew with `flexpose prepare`") from e
    metadata = table.schema.metadata or {}
    version = metadata.get(FORMAT_KEY, b"").decode()
    if version != FORMAT:
        problem = f"pose set of format {version!r}, expected {FORMAT!r}" if version else "Parquet, but not a pose set"
        raise DataError(where, problem, "make one with `flexpose prepare`")
    skeleton = get_skeleton(metadata.get(SKELETON_KEY, b"").decode())
    if table.schema.names != ["keypoints", "crop", "group", "label"]:
        raise DataError(where, f"columns {table.schema.names} are not a pose set's", "make one with `flexpose prepare`")
    if any(column.null_count for column in table.columns):
        raise DataError(where, "empty cells in a pose set", "make it anew with `flexpose prepare`")
    return PoseSet(
        _floats(table["keypoints"]).reshape(-1, skeleton.n_joints, 2),
        skeleton.name,
        _floats(table["crop"]).reshape(-1, 3),
        np.array(table["group"].to_pylist(), dtype=np.str_),
        np.array(table["label"].to_pylist(), dtype=np.str_),
    )


def _floats(lists: pa.ChunkedArray) -> np.ndarray:
    return lists.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)


def _locate(uri: str | Path) -> tuple[Store, str]:
    """The store that holds the file, and the file's key there."""
    folder, _, name = str(uri).rpartition("/")
    if not name:
        raise DataError(uri, "names a folder, expected a file", "write it like sets/poses.parquet")
    return open_store(folder or ("/" if str(uri).startswith("/") else ".")), name
