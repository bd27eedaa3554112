"""Reading generated data sets."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

import flexpose_ray
from flexpose_ray.dataset.loaders import PoseDataset
from flexpose_ray.dataset.shards import shard_schema
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.models.generators import copy_model
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.base import MissingKeyError, Store
from flexpose_ray.storage.local import LocalStore


def test_importing_the_package_loads_nothing_of_it():
    code = "import sys, flexpose_ray; print({'numpy', 'torch', 'ray', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_reading_loads_no_ray(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path), 12)
    code = f"import sys, flexpose_ray; print(flexpose_ray.open_dataset({str(tmp_path)!r}).count, 'ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "12 False\n"


def test_showing_loads_neither_torch_nor_ray(tmp_path, make_dataset, tiny_adapted: str):
    make_dataset(LocalStore(tmp_path), 12)
    copy_model(tiny_adapted, LocalStore(tmp_path / "model"))
    code = f"""
import sys
from flexpose_ray.cli import main
main(["show", {str(tmp_path)!r}, "--json"])
print({{"torch", "ray"}} & set(sys.modules))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout
    *text, modules = out.splitlines()
    assert json.loads("".join(text))["fd_to_shots"] > 0 and modules == "set()"


def test_what_a_data_set_knows_of_itself(store: Store, make_dataset):
    make_dataset(store, 25)
    poses = flexpose_ray.open_dataset(store.uri)
    assert poses.count == 25 and poses.skeleton.name == "body_15" and poses.run.seed == 7
    assert [entry.rows for entry in poses.shards] == [10, 10, 5]
    assert poses.columns == ["index", "keypoints", "confidence"]
    assert "25 poses" in repr(poses)
    assert pickle.loads(pickle.dumps(poses)).manifest == poses.manifest


def test_nothing_published(store: Store):
    with pytest.raises(MissingKeyError, match="no published data set"):
        flexpose_ray.open_dataset(store.uri)


def test_a_manifest_without_a_skeleton(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path), 5)
    file = tmp_path / "manifests/v00001.json"
    manifest = json.loads(file.read_text())
    del manifest["run"]["skeleton"]
    file.write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"v00001\.json: run\.skeleton is missing"):
        flexpose_ray.open_dataset(tmp_path)


@pytest.mark.parametrize(("first", "last"), [(0, None), (0, 5), (3, 12), (10, 20), (19, 21), (25, 99), (7, 7)])
def test_blocks_of_some_positions(tmp_path, make_dataset, first: int, last: int | None):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path), 26)
    blocks = list(PoseDataset(LocalStore(tmp_path)).blocks(first, last))
    want_NJ2 = keypoints_NJ2[first:last]
    got = [block["keypoints"] for block in blocks]
    np.testing.assert_array_equal(np.concatenate([want_NJ2[:0], *got]), want_NJ2)
    assert all(len(block["keypoints"]) == len(block["index"]) > 0 for block in blocks)


def test_the_first_poses_are_read(tmp_path, make_dataset):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path), 26, images="png")
    np.testing.assert_array_equal(PoseDataset(LocalStore(tmp_path)).first(13), keypoints_NJ2[:13])
    np.testing.assert_array_equal(PoseDataset(LocalStore(tmp_path)).first(100), keypoints_NJ2)


def test_to_arrow(store: Store, make_dataset):
    keypoints_NJ2 = make_dataset(store, 26, images="png")
    poses = flexpose_ray.open_dataset(store.uri)
    table = poses.to_arrow()
    assert table.schema == shard_schema(15, images=True) and table.num_rows == 26
    np.testing.assert_array_equal(
        np.array(table["keypoints"].to_pylist(), np.float32).reshape(-1, 15, 2), keypoints_NJ2
    )
    some = poses.to_arrow(["confidence", "index"])
    assert some.schema.names == ["confidence", "index"] and some["index"][3].as_py() == 3
    batches = list(poses.iter_arrow(["index"]))
    assert [batch.num_rows for batch in batches] == [10, 10, 6] and isinstance(batches[0], pa.RecordBatch)


@pytest.mark.parametrize("read", ["to_arrow", "iter_arrow"])
def test_an_unknown_column(tmp_path, make_dataset, read: str):
    make_dataset(LocalStore(tmp_path), 5)
    with pytest.raises(ConfigError, match=r"'image' \(choose of index, keypoints, confidence\)"):
        getattr(flexpose_ray.open_dataset(tmp_path), read)(["index", "image"])


@pytest.mark.parametrize("read", [PoseDataset.blocks, PoseDataset.iter_arrow, PoseDataset.to_torch])
def test_damage_is_found_before_it_is_read(tmp_path, make_dataset, read):
    make_dataset(LocalStore(tmp_path), 26)
    poses = flexpose_ray.open_dataset(tmp_path)
    file = tmp_path / poses.shards[1].shard
    file.write_bytes(bytes(byte ^ (at == 50) for at, byte in enumerate(file.read_bytes())))
    with pytest.raises(DataError, match=f"{poses.shards[1].shard}: other bytes than were committed"):
        list(read(poses))


def test_attributions_come_from_the_model(store: Store, make_dataset):
    make_dataset(store, 5)
    assert PoseDataset(store).attributions == []
    base = {"config": {"alpha": Alpha(size=32).config}, "card": {"attribution": "COCO, CC BY 4.0"}}
    store.put("model/base/model.json", json.dumps(base).encode())
    store.put("model/model.json", json.dumps({"config": {}, "card": {"attribution": "rowers of mine"}}).encode())
    poses = flexpose_ray.open_dataset(store.uri)
    assert poses.alpha == Alpha(size=16), "the run's"
    assert poses.attributions == ["rowers of mine", "COCO, CC BY 4.0"]


def test_alpha_of_stored_pictures(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path), 5, images="webp")
    assert flexpose_ray.open_dataset(tmp_path).alpha == Alpha(size=16)
