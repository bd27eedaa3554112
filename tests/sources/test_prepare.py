import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.sources.prepare import prepare


def test_annotations_become_a_pose_set_and_a_report(tmp_path):
    report = prepare("synthetic:cycling?count=40", str(tmp_path / "out" / "p.parquet"))
    assert len(read_poses(tmp_path / "out" / "p.parquet")) == 40 == report.kept
    assert str(report).splitlines() == [
        "synthetic:cycling?count=40",
        "persons read      40",
        "poses kept        40",
        "  from groups      2",
        "  label: cycling  40",
    ]


def test_the_same_source_gives_the_same_bytes(tmp_path):
    for name in ("a.parquet", "b.parquet"):
        prepare("synthetic:rowing?count=40", str(tmp_path / name))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_nothing_is_written_when_the_source_is_bad(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=np.full((2, 15, 2), np.nan))
    with pytest.raises(DataError, match="2 joints missing"):
        prepare(f"table:{tmp_path / 'p.npz'}", str(tmp_path / "out" / "p.parquet"))
    assert not (tmp_path / "out").exists()


def test_what_is_no_parquet_file_is_refused_before_reading(tmp_path):
    with pytest.raises(ConfigError, match=r"a pose set is one \.parquet file"):
        prepare("coco:/none.json", str(tmp_path / "out"))
