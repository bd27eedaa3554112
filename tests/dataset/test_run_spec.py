"""The run of a data set: pinned once, compared by later calls, checked when it is read."""

from __future__ import annotations

import pickle

import pytest

from flexpose_ray.dataset.fields import canonical_json
from flexpose_ray.dataset.layout import RUN_KEY
from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.errors import ConfigError, DataError, StorageError
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.base import MissingKeyError, Store
from flexpose_ray.storage.local import LocalStore
from tests.run_specs import run_spec

WRITTEN_BEFORE = (  # by the first version of this format
    b'{"alpha":{"channels":3,"profile":"gaussian","size":64,"skeleton_name":"body_15","width":0.03125},"batch":64,'
    b'"format":2,"gate":{"confidence":0.3,"duplicate":0.01,"margin":0.02,"mode":"warn","round_trip":null,'
    b'"shot_copy":0.02},"generator":"e27129ef","images":null,"schema":{"confidence":'
    b'"fixed_size_list<element: float not null>[15]","index":"int64","keypoints":'
    b'"fixed_size_list<element: float not null>[30]"},"seed":5,"shard_size":1000,"skeleton":"body_15"}\n'
)


def test_what_is_pinned_is_read(store: Store):
    with pytest.raises(MissingKeyError, match=r"run\.json"):
        RunSpec.read(store)
    run_spec("png").pin(store)
    assert RunSpec.read(store) == run_spec("png") == pickle.loads(pickle.dumps(run_spec("png")))


def test_bytes_on_storage_are_those_of_earlier_versions(tmp_path):
    store = LocalStore(tmp_path)
    store.put(RUN_KEY, WRITTEN_BEFORE)
    run = RunSpec.read(store)
    assert canonical_json(run.to_json()) == WRITTEN_BEFORE
    run.pin(LocalStore(tmp_path / "new"))
    assert (tmp_path / "new/run.json").read_bytes() == WRITTEN_BEFORE


def test_all_that_differs_is_named(store: Store):
    run_spec().pin(store)
    run_spec().pin(store)
    with pytest.raises(ConfigError) as error:
        run_spec("png", Alpha(size=128), seed=8).pin(store)
    text = str(error.value)
    assert "seed was 7 and is now 8" in text and "alpha.size was 16 and is now 128" in text
    assert "schema.image was absent and is now binary" in text and "channels" not in text
    assert "continue" in error.value.hint and store.uri in text
    assert RunSpec.read(store) == run_spec()


def test_a_server_without_conditional_writes_is_refused(tmp_path):
    class Careless(LocalStore):
        def put_if_absent(self, key: str, data: bytes) -> bool:
            self.put(key, data)
            return True

    with pytest.raises(StorageError, match="conditional writes"):
        run_spec().pin(Careless(tmp_path))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("seed", None), "seed is missing"),
        (("seed", "5"), "seed is '5', not an integer"),
        (("seed", True), "seed is True, not an integer"),
        (("images", 3), "images is 3, not a string or null"),
        (("batch", 0), "batch is 0, less than 1"),
        (("colour", "red"), "colour is unknown to this version"),
        (("format", 3), "format is 3, this version reads 2"),
        (("gate", []), r"gate is \[\], not an object"),
        (("gate", {"mode": "warn"}), r"gate\.confidence is missing"),
        (("alpha", {**Alpha().config, "size": "big"}), r"alpha\.size is 'big', not an integer"),
        (("schema", {"index": 64}), r"schema\.index is 64, not a string"),
    ],
)
def test_damage_is_one_line_that_names_file_and_key(tmp_path, change: tuple, problem: str):
    store, (key, value) = LocalStore(tmp_path), change
    damaged = run_spec().to_json() | {key: value}
    if value is None:
        del damaged[key]
    store.put(RUN_KEY, canonical_json(damaged))
    for read in (RunSpec.read, run_spec().pin):
        with pytest.raises(DataError, match=rf"run\.json: {problem} \(") as error:
            read(store)
        assert "\n" not in str(error.value)
