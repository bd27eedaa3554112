import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexpose_ray.errors import ConfigError, DataError, StorageError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.pose_file import poses_from_bytes, poses_to_bytes, read_poses, write_poses


def some_poses(count=7, joints=15, skeleton="body_15"):
    rng = np.random.default_rng(0)
    return PoseSet(
        rng.random((count, joints, 2), np.float32),
        skeleton,
        rng.random((count, 3), np.float32),
        np.array([f"vidéo {i}" for i in range(count)], np.str_),
        np.array(["a" * (i % 3) for i in range(count)], np.str_),
    )


def assert_equal(a, b):
    assert a.skeleton_name == b.skeleton_name
    for name in ("keypoints_NJ2", "crop_N3", "group_N", "label_N"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype.kind == getattr(b, name).dtype.kind


@pytest.mark.parametrize(
    "poses", [some_poses(), some_poses(0), some_poses(3, 68, "face_68")], ids=["body", "empty", "face"]
)
def test_what_is_written_is_read(tmp_path, poses):
    write_poses(tmp_path / "sets" / "p.parquet", poses)
    assert_equal(read_poses(tmp_path / "sets" / "p.parquet"), poses)
    assert [p.name for p in (tmp_path / "sets").iterdir()] == ["p.parquet"]


def test_storage_of_both_kinds_holds_a_pose_set(store):
    write_poses(f"{store.uri}/p.parquet", some_poses())
    assert_equal(read_poses(f"{store.uri}/p.parquet"), some_poses())
    assert store.list() == ["p.parquet"]


def test_a_bare_file_name_goes_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_poses("p.parquet", some_poses())
    assert_equal(read_poses(tmp_path / "p.parquet"), some_poses())


def test_the_same_poses_give_the_same_bytes():
    poses = some_poses()
    assert poses_to_bytes(poses) == poses_to_bytes(poses.take(np.arange(7)))
    assert poses_to_bytes(poses) == poses_to_bytes(poses_from_bytes(poses_to_bytes(poses), "bytes"))
    assert poses_to_bytes(poses) != poses_to_bytes(poses.take(np.arange(7)[::-1]))


def test_any_arrow_reader_opens_it(tmp_path):
    write_poses(tmp_path / "p.parquet", some_poses())
    schema = pq.read_schema(tmp_path / "p.parquet")
    assert schema.field("keypoints").type == pa.list_(pa.float32(), 30)
    assert schema.field("crop").type == pa.list_(pa.float32(), 3)
    assert schema.field("group").type == schema.field("label").type == pa.string()
    assert schema.metadata == {b"flexpose.skeleton": b"body_15", b"flexpose.format": b"2"}


def test_a_missing_pose_set_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"none\.parquet"):
        read_poses(tmp_path / "none.parquet")


def test_a_folder_is_no_pose_set(tmp_path):
    with pytest.raises(StorageError, match="names a folder, expected a file"):
        write_poses(f"{tmp_path}/", some_poses())


@pytest.mark.parametrize("content", [b"", b"garbage", poses_to_bytes(some_poses())[:-20]])
def test_damaged_bytes_are_refused(content):
    with pytest.raises(DataError, match=r"p\.parquet: not a readable Parquet file"):
        poses_from_bytes(content, "p.parquet")


def rewritten(change):
    """A pose set's bytes after its table was changed."""
    table = change(pq.read_table(pa.BufferReader(poses_to_bytes(some_poses()))))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def with_keypoints(table, width, value):
    return table.set_column(0, "keypoints", pa.array([[value] * width] * 7, pa.list_(pa.float32(), width)))


@pytest.mark.parametrize(
    ("change", "error", "problem"),
    [
        (lambda t: t.replace_schema_metadata(None), DataError, "Parquet, but not a pose set"),
        (lambda t: t.replace_schema_metadata({"flexpose.format": "9"}), DataError, "format '9', expected '2'"),
        (lambda t: t.replace_schema_metadata({"flexpose.format": "2"}), ConfigError, "unknown skeleton ''"),
        (lambda t: t.drop_columns(["crop"]), DataError, r"columns keypoints .*, group string, label string are"),
        (lambda t: t.set_column(2, "group", pa.array([None] * 7, pa.string())), DataError, "empty cells"),
        (lambda t: t.set_column(1, "crop", pa.array(["a"] * 7)), DataError, "crop string, .* are not a pose set's"),
        (lambda t: with_keypoints(t, 34, 0.0), DataError, r"keypoints fixed_size_list<.*>\[34\]"),
        (lambda t: with_keypoints(t, 30, np.nan), DataError, "pose 0: keypoints hold NaN"),
    ],
)  # fmt: skip
def test_parquet_of_another_kind_is_refused(change, error, problem):
    with pytest.raises(error, match=problem):
        poses_from_bytes(rewritten(change), "p.parquet")
