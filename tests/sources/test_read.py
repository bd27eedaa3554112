import json

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError, StorageError
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.pose_file import write_poses
from flexpose_ray.sources.read import KINDS, read_source


@pytest.fixture
def npz(tmp_path):
    path = tmp_path / "p.npz"
    np.savez(path, keypoints=100 * np.random.default_rng(0).random((4, 15, 2)))
    return path


def test_a_table_goes_to_its_reader(npz):
    poses, report = read_source(f"table:{npz}")
    assert len(poses) == 4 and report.source == str(npz)


def test_a_mapping_reaches_coco(tmp_path):
    names = [f"p{i}" for i in range(15)]
    keypoints = np.random.default_rng(0).uniform(1, 99, (15, 3)).ravel().tolist()
    content = {"annotations": [{"id": 1, "image_id": 2, "keypoints": keypoints}], "categories": [{"keypoints": names}]}
    (tmp_path / "own.json").write_text(json.dumps(content))
    (tmp_path / "map.yaml").write_text("\n".join(f"{j}: p{i}" for i, j in enumerate(BODY_15.joints)))
    assert len(read_source(f"coco:{tmp_path / 'own.json'}", str(tmp_path / "map.yaml"))[0]) == 1


def test_a_pose_set_of_ours_is_read_back(tmp_path, npz):
    poses, _ = read_source(f"table:{npz}")
    write_poses(tmp_path / "set.parquet", poses)
    again, report = read_source(f"poses:{tmp_path / 'set.parquet'}")
    np.testing.assert_array_equal(again.keypoints_NJ2, poses.keypoints_NJ2)
    assert (report.read, report.kept) == (4, 4)


def test_a_synthetic_set_is_made():
    poses, report = read_source("synthetic:rowing?count=30&seed=1")
    assert len(poses) == 30 == report.kept and report.groups == 2 and report.labels == {"rowing": 30}


def test_environment_variables_are_filled_in(npz, monkeypatch):
    monkeypatch.setenv("MY_POSES", str(npz.parent))
    assert len(read_source("table:${MY_POSES}/p.npz")[0]) == 4
    assert len(read_source("table:$MY_POSES/p.npz")[0]) == 4


def test_an_unset_environment_variable_is_named(monkeypatch):
    monkeypatch.delenv("MY_POSES", raising=False)
    with pytest.raises(ConfigError, match=r"environment variable MY_POSES is not set \(export MY_POSES="):
        read_source("coco:${MY_POSES}/p.json")


@pytest.mark.parametrize("source", ["voc:p.json", "p.json", "", ":p.json"])
def test_an_unknown_kind_lists_the_kinds_there_are(source):
    with pytest.raises(ConfigError) as caught:
        read_source(source)
    assert all(kind in caught.value.hint for kind in KINDS)


@pytest.mark.parametrize("kind", ["coco", "lsp", "mpii", "penn", "table"])
def test_a_missing_file_is_named(tmp_path, kind):
    with pytest.raises(DataError, match=r"none\.x: no such file or folder"):
        read_source(f"{kind}:{tmp_path / 'none.x'}")


def test_a_missing_pose_set_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"none\.parquet"):
        read_source(f"poses:{tmp_path / 'none.parquet'}")


@pytest.mark.parametrize("kind", ["coco", "lsp", "mpii", "table"])
def test_a_folder_in_a_files_place_is_refused(tmp_path, kind):
    with pytest.raises(DataError, match="is a folder, expected a file"):
        read_source(f"{kind}:{tmp_path}")


@pytest.mark.parametrize("source", ["lsp:.", "mpii:.", "penn:.", "synthetic:rowing", "poses:p.parquet"])
def test_a_mapping_where_it_has_no_use_is_refused(source):
    with pytest.raises(ConfigError, match=r"mapping: cannot be used with .*bvh, coco, .*motion, .*table"):
        read_source(source, "map.yaml")
