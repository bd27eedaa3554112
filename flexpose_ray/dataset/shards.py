"""One shard as Parquet bytes: plain Arrow types that any reader opens, and the same bytes for the same poses."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from flexpose_ray.dataset.blocks import Block
from flexpose_ray.dataset.commits import ShardEntry
from flexpose_ray.errors import DataError
from flexpose_ray.storage.base import Store

# By column path; PNG is compressed already and stays as it is.
COMPRESSION = {"index": "zstd", "keypoints.list.element": "zstd", "confidence.list.element": "zstd"}


def shard_schema(n_joints: int, images: bool, confidence: str | None = None) -> pa.Schema:
    """Columns of a shard: index, keypoints (x and y of every joint, crop units), confidence, and pictures if wanted.

    ``confidence`` is that column's meaning, for its metadata; None leaves it out, as shards of a StyleGAN always did.
    """
    fields = [("index", pa.int64()), ("keypoints", _floats(2 * n_joints)), ("confidence", _floats(n_joints))]
    fields += [("image", pa.binary())] if images else []
    meanings = {} if confidence is None else {"confidence": {"meaning": confidence}}
    return pa.schema([pa.field(name, kind, nullable=False, metadata=meanings.get(name)) for name, kind in fields])


def encode_shard(
    index_N: np.ndarray,
    keypoints_NJ2: np.ndarray,
    confidence_NJ: np.ndarray,
    images: list[bytes] | None = None,
    confidence: str | None = None,
) -> bytes:
    """Encode a shard; the same arrays give the same bytes under the same pyarrow.

    Args:
        index_N: addresses of the poses.
        keypoints_NJ2: crop units, stored as float32.
        confidence_NJ: one value for each joint, stored as float32.
        images: one encoded picture for each pose, or None for a shard without that column.
        confidence: meaning of that column; see :func:`shard_schema`.

    Raises:
        DataError: shapes that do not fit each other, or values that are not finite.
    """
    n, n_joints = keypoints_NJ2.shape[:2]
    lengths = [len(index_N), len(confidence_NJ)] + ([] if images is None else [len(images)])
    if keypoints_NJ2.shape != (n, n_joints, 2) or confidence_NJ.shape != (n, n_joints) or set(lengths) != {n}:
        found = f"keypoints {keypoints_NJ2.shape}, confidence {confidence_NJ.shape}, index and images {lengths}"
        raise DataError("shard", f"arrays that do not belong together: {found}", "give each one row per pose")
    finite_N = np.isfinite(keypoints_NJ2).all((1, 2)) & np.isfinite(confidence_NJ).all(1)
    if not finite_N.all():
        where = f"pose {int(index_N[finite_N.argmin()])}"
        raise DataError(where, "keypoints or confidence hold NaN or infinity", "train the generator again")
    schema = shard_schema(n_joints, images is not None, confidence)
    columns = [
        pa.array(np.asarray(index_N, np.int64)),
        pa.FixedSizeListArray.from_arrays(_flat(keypoints_NJ2), type=schema.field("keypoints").type),
        pa.FixedSizeListArray.from_arrays(_flat(confidence_NJ), type=schema.field("confidence").type),
    ]
    columns += [] if images is None else [pa.array(images, pa.binary())]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink, schema, compression=COMPRESSION, use_dictionary=False, write_statistics=["index"], version="2.6"
    ) as writer:
        writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=max(n, 1))
    return sink.getvalue().to_pybytes()


def decode_shard(data: bytes, where: str = "shard", images: bool = True) -> Block:
    """Decode a shard.

    Args:
        data: what :func:`encode_shard` returned.
        where: the shard's address, for the error.
        images: whether to read pictures too, which are most of the bytes.

    Returns:
        ``index`` int64 (N,), ``keypoints`` float32 (N, J, 2), ``confidence`` float32 (N, J) and, where the shard holds
        pictures, ``image`` as a list of N bytes objects.

    Raises:
        DataError: the bytes are not a shard.
    """
    try:
        file = pq.ParquetFile(pa.BufferReader(data))
        n_joints = file.schema_arrow.field("confidence").type.list_size
        if file.schema_arrow != shard_schema(n_joints, "image" in file.schema_arrow.names):
            raise pa.ArrowInvalid(f"columns {', '.join(map(str, file.schema_arrow))}")
        names = [name for name in file.schema_arrow.names if images or name != "image"]
        table = file.read(names, use_threads=False)
    except (pa.ArrowException, KeyError, AttributeError, OSError) as error:
        problem = f"not a shard of poses: {str(error).splitlines()[0]}"
        raise DataError(where, problem, "run `flexpose repair` on its data set") from error
    columns = {name: table[name].combine_chunks() for name in table.schema.names}
    n = table.num_rows
    decoded = {
        "index": columns["index"].to_numpy(),
        "keypoints": columns["keypoints"].flatten().to_numpy().reshape(n, n_joints, 2),
        "confidence": columns["confidence"].flatten().to_numpy().reshape(n, n_joints),
    }
    return decoded | ({"image": columns["image"].to_pylist()} if "image" in columns else {})


def read_batch(store: Store, entry: ShardEntry, columns: list[str]) -> pa.RecordBatch:
    """Some columns of a committed shard in Arrow's form; errors as :meth:`ShardEntry.read_bytes`."""
    file = pq.ParquetFile(pa.BufferReader(entry.read_bytes(store)))
    return file.read(columns, use_threads=False).combine_chunks().to_batches()[0]


def _floats(width: int) -> pa.DataType:
    return pa.list_(pa.field("element", pa.float32(), nullable=False), width)


def _flat(values: np.ndarray) -> pa.Array:
    return pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
