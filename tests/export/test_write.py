"""Exports: whole, repeatable, streaming, and refused where they do not fit."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from flexpose_ray.errors import ConfigError, DataError, StorageError
from flexpose_ray.export import job
from flexpose_ray.export.options import FORMATS, ExportOptions
from flexpose_ray.export.write import export
from flexpose_ray.storage.base import MissingKeyError, Store
from flexpose_ray.storage.local import LocalStore
from flexpose_ray.storage.open import open_store


def contents(store: Store) -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list()}


@pytest.fixture
def uri(tmp_path, make_dataset) -> str:
    """A data set of 26 poses."""
    make_dataset(LocalStore(tmp_path / "set"), 26)
    return str(tmp_path / "set")


@pytest.mark.parametrize("format", FORMATS)
def test_the_same_export_is_the_same_bytes_wherever_it_goes(format: str, uri: str, tmp_path, store: Store):
    first = export(uri, str(tmp_path / "out"), ExportOptions(format))
    assert first["written"] == first["files"] == len(contents(open_store(tmp_path / "out"))) - 1, "export.json besides"
    assert first["count"] == 26 and first["uri"] == str(tmp_path / "out")
    export(uri, store.uri, ExportOptions(format))
    assert contents(store) == contents(open_store(tmp_path / "out"))


@pytest.mark.parametrize("format", FORMATS)
def test_a_repeated_export_writes_what_is_missing(format: str, uri: str, tmp_path):
    out = open_store(tmp_path / "out")
    arguments = {} if format == "coco" else {"per_file": 12}
    done = export(uri, out.uri, ExportOptions(format, **arguments))
    before, steps = contents(out), []
    again = export(uri, out.uri, ExportOptions(format, **arguments), on_progress=lambda *at: steps.append(at))
    assert again == done | {"written": 0} and steps[-1] == (26, 26)
    lost = [key for key in before if key not in ("export.json", "README.md")][-1:]
    for key in lost:
        out.delete(key)
    assert export(uri, out.uri, ExportOptions(format, **arguments))["written"] == 1
    assert contents(out) == before


@pytest.mark.parametrize("format", FORMATS)
def test_progress_goes_shard_by_shard(format: str, uri: str, tmp_path):
    steps = []
    export(uri, str(tmp_path / "out"), ExportOptions(format), on_progress=lambda *at: steps.append(at))
    assert steps == [(10, 26), (20, 26), (26, 26)]


def test_another_export_in_the_same_place_is_refused(uri: str, tmp_path):
    out = open_store(tmp_path / "out")
    export(uri, out.uri, ExportOptions("webdataset"))
    before = contents(out)
    with pytest.raises(ConfigError, match=r"export.json: belongs to an export with another per_file \(choose"):
        export(uri, out.uri, ExportOptions("webdataset", per_file=5))
    with pytest.raises(ConfigError, match="another format"):
        export(uri, out.uri, ExportOptions("npz"))
    assert contents(out) == before


@pytest.mark.parametrize("format", FORMATS)
def test_damage_leaves_nothing_half_written(format: str, uri: str, tmp_path):
    shard = open_store(uri).list("shards/")[1]
    open_store(uri).put(shard, b"damaged")
    with pytest.raises(DataError, match="other bytes than were committed"):
        export(uri, str(tmp_path / "out"), ExportOptions(format))
    assert set(open_store(tmp_path / "out").list()) <= {"export.json", "dataset_info.py"}


def test_a_full_temporary_folder(uri: str, tmp_path, monkeypatch):
    def full(**_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(job.tempfile, "TemporaryFile", full)
    with pytest.raises(StorageError, match=r"no space left .*TMPDIR"):
        export(uri, str(tmp_path / "out"), ExportOptions("npz"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"format": "voc"}, "choose one of coco, webdataset, npz"), ({"format": "coco", "size": 0}, "size: 0 is"),
        ({"format": "npz", "per_file": -1}, "per_file: -1 is"), ({"format": "npz", "images": True}, "no pictures"),
        ({"format": "coco", "per_file": 5}, "one file"),
    ],
)  # fmt: skip
def test_wrong_options_leave_nothing(uri: str, tmp_path, options: dict, problem: str):
    with pytest.raises(ConfigError, match=problem):
        export(uri, str(tmp_path / "out"), ExportOptions(**options))
    assert not (tmp_path / "out").exists()


def test_no_data_set(tmp_path):
    with pytest.raises(MissingKeyError, match="no published data set"):
        export(str(tmp_path / "nothing"), str(tmp_path / "out"), ExportOptions("coco"))


@pytest.mark.parametrize("format", FORMATS)
def test_the_card_is_read_by_the_hub_and_names_the_origin(format: str, uri: str, tmp_path):
    open_store(uri).put("model/model.json", b'{"card": {"attribution": "Keypoints of COCO 2017, CC BY 4.0"}}')
    export(uri, str(tmp_path / "out"), ExportOptions(format))
    card = (tmp_path / "out/README.md").read_text()
    _, head, text = card.split("---\n", 2)
    head = yaml.safe_load(head)
    assert head["size_categories"] == ["n<1K"] and head["task_categories"] == ["keypoint-detection"]
    assert head["license"] == "other" and format in head["tags"]
    assert "ab" * 32 in text and "seed 7" in text and "26 generated poses" in text
    assert "* Keypoints of COCO 2017, CC BY 4.0\n" in text and "left_elbow" in text
    assert str(tmp_path) not in card


def test_a_set_without_a_model_says_that_its_origin_is_unknown(uri: str, tmp_path):
    export(uri, str(tmp_path / "out"), ExportOptions("npz"))
    assert "does not say which data its generator was trained on" in (tmp_path / "out/README.md").read_text()


def test_npz(tmp_path, make_dataset):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path / "set"), 26, images="png")
    done = export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("npz", per_file=12))
    assert done["files"] == 4 and not done["images"]
    parts = [np.load(tmp_path / f"out/poses-{i:05d}.npz", allow_pickle=False) for i in range(3)]
    assert [len(part["index"]) for part in parts] == [12, 12, 2]
    np.testing.assert_array_equal(np.concatenate([part["keypoints"] for part in parts]), keypoints_NJ2)
    assert parts[0]["index"][:3].tolist() == [2**40, 1, 2] and parts[0]["confidence"].shape == (12, 15)
    assert parts[0]["joints"][2] == "pelvis" and parts[0]["limbs"].shape == (14, 2)
