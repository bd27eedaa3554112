"""A pose set on storage: one Parquet file of plain Arrow types, the same bytes for the same poses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.canonical import canonical_text
from flexpose_ray.errors import DataError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import Skeleton, get_skeleton
from flexpose_ray.storage.open import locate

FORMAT = "2"  # 1: of Penn Action with sides exchanged, without a card
SKELETON_KEY, FORMAT_KEY, CARD_KEY = b"flexpose.skeleton", b"flexpose.format", b"flexpose.card"


def write_poses(uri: str | Path, poses: PoseSet, card: dict | None = None) -> None:
    """Write a pose set to ``uri``, a file such as ``sets/coco.parquet`` or ``s3://bucket/sets/coco.parquet``.

    Columns: ``keypoints`` FixedSizeList<float32>[2J] in crop units, ``crop`` FixedSizeList<float32>[3] (scale and
    offset back to pixels), ``group`` and ``label`` strings; skeleton, format version and card are in the schema's
    metadata.

    Args:
        uri: where.
        poses: the set.
        card: what is known of it, see :meth:`~flexpose_ray.sources.report.ReadReport.card`; None: nothing.

    Raises:
        StorageError: storage cannot be written.
    """
    store, name = locate(uri)
    store.put(name, poses_to_bytes(poses, card))


def read_poses(uri: str | Path) -> PoseSet:
    """Read a pose set that :func:`write_poses` wrote.

    Raises:
        StorageError: no such file, or storage cannot be read.
        DataError: not Parquet, or not a pose set of this format.
    """
    store, name = locate(uri)
    return poses_from_bytes(store.get(name), str(uri))


def poses_to_bytes(poses: PoseSet, card: dict | None = None) -> bytes:
    """Encode a pose set as Parquet; the same poses give the same bytes with the same version of pyarrow."""
    schema = _schema(poses.skeleton)
    columns = [
        pa.FixedSizeListArray.from_arrays(
            pa.array(poses.keypoints_NJ2.reshape(-1)), type=schema.field("keypoints").type
        ),
        pa.FixedSizeListArray.from_arrays(pa.array(poses.crop_N3.reshape(-1)), type=schema.field("crop").type),
        pa.array(poses.group_N, pa.string()),
        pa.array(poses.label_N, pa.string()),
    ]
    if card is not None:
        schema = schema.with_metadata(schema.metadata | {CARD_KEY: canonical_text(card).encode()})
    table = pa.table(columns, schema=schema)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=65_536)
    return sink.getvalue().to_pybytes()


def poses_from_bytes(content: bytes, where: str) -> PoseSet:
    """Decode the Parquet bytes of a pose set; ``where`` names them in errors."""
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as e:
        raise DataError(where, f"not a readable Parquet file: {e}", "write it again with `flexpose prepare`") from e
    metadata = table.schema.metadata or {}
    version = metadata.get(FORMAT_KEY, b"").decode()
    if version != FORMAT:
        if version == "1":
            problem = "pose set of format 1, whose poses of Penn Action have left and right exchanged"
            raise DataError(where, problem, "make it again with `flexpose prepare`, from the annotations")
        problem = f"pose set of format {version!r}, expected {FORMAT!r}" if version else "Parquet, but not a pose set"
        raise DataError(where, problem, "make one with `flexpose prepare`")
    skeleton = get_skeleton(metadata.get(SKELETON_KEY, b"").decode())
    if not table.schema.equals(_schema(skeleton)):
        problem = f"columns {', '.join(f'{f.name} {f.type}' for f in table.schema)} are not a pose set's"
        raise DataError(where, problem, "make one with `flexpose prepare`")
    if any(column.null_count for column in table.columns):
        raise DataError(where, "empty cells in a pose set", "make it again with `flexpose prepare`")
    return PoseSet(
        _floats(table["keypoints"]).reshape(-1, skeleton.n_joints, 2),
        skeleton.text,
        _floats(table["crop"]).reshape(-1, 3),
        np.array(table["group"].to_pylist(), dtype=np.str_),
        np.array(table["label"].to_pylist(), dtype=np.str_),
    )


def _schema(skeleton: Skeleton) -> pa.Schema:
    fields = {
        "keypoints": pa.list_(pa.float32(), 2 * skeleton.n_joints),
        "crop": pa.list_(pa.float32(), 3),
        "group": pa.string(),
        "label": pa.string(),
    }
    return pa.schema(fields, {SKELETON_KEY: skeleton.text.encode(), FORMAT_KEY: FORMAT.encode()})


def _floats(lists: pa.ChunkedArray) -> np.ndarray:
    return lists.combine_chunks().flatten().to_numpy(zero_copy_only=False).astype(np.float32)
