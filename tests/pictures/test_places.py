"""Places of pictures besides folders: shards of tar files, tables with encoded pictures."""

import io
import tarfile

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pictures.read import read_pictures
from flexpose_ray.storage.open import open_store


def encoded(value: int) -> bytes:
    return cv2.imencode(".png", np.full((8, 8, 3), value, np.uint8))[1].tobytes()


def values(found) -> list[int]:
    return found.pictures_N3SS[:][:, 0, 4, 4].tolist()


def tar_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def test_a_webdataset_is_read_shard_by_shard(store):
    for shard in range(2):
        members = {f"{key}.{kind}": encoded(100 * shard + key) for key in (1, 2) for kind in ("png",)}
        members |= {"1.json": b"{}", "walk/3.png": encoded(100 * shard + 3)}
        store.put(f"shards/{shard:05d}.tar", tar_of(members))
    found = read_pictures(f"{store.uri}/shards", 8)
    assert values(found) == [1, 2, 3, 101, 102, 103]
    assert found.name_N[0] == "00000.tar/1.png" and len(set(found.clip_N)) == 6
    assert found.clip_N[2] == "00000.tar/walk"


def test_a_table_brings_its_pictures_and_clips(store):
    rows = {"image": [encoded(v) for v in (5, 6, 7)], "video": ["a", "a", None], "age": [1, 2, 3]}
    pq.write_table(pa.table(rows), sink := io.BytesIO())
    store.put("one.parquet", sink.getvalue())
    found = read_pictures(f"{store.uri}/one.parquet", 8)
    assert values(found) == [5, 6, 7] and found.clip_N.tolist() == ["a", "a", "one.parquet row 3"]
    chosen = read_pictures(f"{store.uri}/one.parquet?image=image&clip=age", 8)
    assert chosen.clip_N.tolist() == ["1", "2", "3"]


def test_tables_as_the_hub_has_them_are_read_in_order(tmp_path):
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for shard in range(2):
        pictures = [{"bytes": encoded(10 * shard + i), "path": f"{shard}/{i}.png" if i else None} for i in range(3)]
        pq.write_table(pa.table({"photo": pa.array(pictures, kind)}), tmp_path / f"train-{shard}.parquet")
    found = read_pictures(str(tmp_path), 8)
    assert values(found) == [0, 1, 2, 10, 11, 12]
    assert found.name_N.tolist()[:2] == ["train-0.parquet row 1", "0/1.png"]


def test_broken_pictures_of_a_table_are_counted(tmp_path):
    pq.write_table(pa.table({"image": [encoded(1), b"hello", None]}), tmp_path / "a.parquet")
    found = read_pictures(f"{tmp_path}/a.parquet", 8, max_bad=0.7)
    assert found.bad == [("a.parquet row 2", "no picture"), ("a.parquet row 3", "empty")]


@pytest.mark.parametrize(
    ("columns", "options", "error", "named"),
    [
        ({"x": [1.0]}, "", DataError, "no column of pictures"),
        ({"image": ["a.png"]}, "", DataError, "no column of pictures"),
        ({"image": [b"1"], "x": [1]}, "?image=x", DataError, "column 'x' holds no pictures"),
        ({"image": [b"1"]}, "?clip=who", DataError, "no column 'who' there .*the columns are image"),
        ({"image": [b"1"]}, "?picture=image", ConfigError, "unknown option 'picture'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path, columns, options, error, named):
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(error, match=named):
        read_pictures(f"{tmp_path}/a.parquet{options}", 8)


def test_a_table_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"hello")
    with pytest.raises(DataError, match=r"a\.parquet: not a readable table"):
        read_pictures(f"{tmp_path}/a.parquet", 8)


def test_many_are_read_in_their_order_with_few_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("flexpose_ray.pictures.read.BLOCK", 7)
    store, seen = open_store(str(tmp_path)), []
    for i in range(60):
        store.put(f"{i:03d}.png", encoded(i))
    found = read_pictures(str(tmp_path), 8, on_progress=lambda *at: seen.append(at))
    assert values(found) == list(range(60)) and seen == [(i, 60) for i in range(1, 61)]
