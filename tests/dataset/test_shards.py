"""A shard keeps every bit, renders the same bytes always, and opens in any reader."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from flexpose_ray.dataset.shards import decode_shard, encode_shard
from flexpose_ray.errors import DataError


def poses(n: int, n_joints: int = 15) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n)
    return (
        np.arange(5, 5 + n),
        rng.random((n, n_joints, 2), dtype=np.float32),
        rng.random((n, n_joints), dtype=np.float32),
    )


@pytest.mark.parametrize(("n", "n_joints", "images"), [(100, 15, False), (7, 68, True), (1, 15, True), (0, 15, False)])
def test_what_goes_in_comes_out(n: int, n_joints: int, images: bool):
    index_N, keypoints_NJ2, confidence_NJ = poses(n, n_joints)
    pictures = [b"\x89PNG%d" % i for i in range(n)] if images else None
    back = decode_shard(encode_shard(index_N, keypoints_NJ2, confidence_NJ, pictures))
    assert set(back) == {"index", "keypoints", "confidence"} | ({"image"} if images else set())
    assert back["index"].dtype == np.int64 and back["keypoints"].dtype == back["confidence"].dtype == np.float32
    np.testing.assert_array_equal(back["index"], index_N)
    np.testing.assert_array_equal(back["keypoints"], keypoints_NJ2)
    np.testing.assert_array_equal(back["confidence"], confidence_NJ)
    assert back.get("image") == pictures


def test_bytes_do_not_depend_on_the_process_or_on_memory_layout():
    index_N, keypoints_NJ2, confidence_NJ = poses(300)
    here = encode_shard(index_N, keypoints_NJ2, confidence_NJ)
    assert (
        encode_shard(index_N.astype(np.int32), np.asfortranarray(keypoints_NJ2), confidence_NJ[:, ::-1][:, ::-1])
        == here
    )
    code = (
        "import hashlib, numpy as np; from flexpose_ray.dataset.shards import encode_shard;"
        "r = np.random.default_rng(300);"
        "k = r.random((300, 15, 2), dtype=np.float32); c = r.random((300, 15), dtype=np.float32);"
        "print(hashlib.sha256(encode_shard(np.arange(5, 305), k, c)).hexdigest())"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert there == hashlib.sha256(here).hexdigest()


def test_a_plain_reader_opens_it():
    index_N, keypoints_NJ2, confidence_NJ = poses(10)
    data = encode_shard(index_N, keypoints_NJ2, confidence_NJ, [b"png"] * 10)
    table = pq.read_table(io.BytesIO(data))
    assert [str(kind) for kind in table.schema.types] == [
        "int64",
        "fixed_size_list<element: float not null>[30]",
        "fixed_size_list<element: float not null>[15]",
        "binary",
    ]
    frame = pd.read_parquet(io.BytesIO(data))
    np.testing.assert_array_equal(np.stack(frame["keypoints"]), keypoints_NJ2.reshape(10, 30))


@pytest.mark.parametrize("part", [0, 1, 2])
def test_arrays_that_do_not_belong_together(part: int):
    arrays = list(poses(10))
    arrays[part] = arrays[part][:-1]
    with pytest.raises(DataError, match="do not belong together"):
        encode_shard(*arrays)


def test_nan_is_refused_and_its_pose_named():
    index_N, keypoints_NJ2, confidence_NJ = poses(10)
    keypoints_NJ2[3, 2, 1] = np.nan
    with pytest.raises(DataError, match=r"pose 8: .*NaN"):
        encode_shard(index_N, keypoints_NJ2, confidence_NJ)


def test_damage_is_named():
    whole = encode_shard(*poses(50))
    foreign = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(foreign)
    for data in (b"", b"no parquet", whole[:-20], whole[: len(whole) // 2], foreign.getvalue()):
        with pytest.raises(DataError, match=r"^shards/7: not a shard") as error:
            decode_shard(data, "shards/7")
        assert "\n" not in str(error.value)
