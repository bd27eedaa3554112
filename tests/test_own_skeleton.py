"""A skeleton of one's own goes the whole road, from annotations to pictures and exports, as the shipped ones do."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from flexpose_ray.cli import main
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.verify import verify
from flexpose_ray.models.generators import load_generator
from flexpose_ray.pose.skeleton import get_skeleton, load_skeleton
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.open import open_store
from tests import here
from tests.engine.train.test_flow_run import PRETRAIN, STYLEGAN

SIDES = ("left", "right")
LEGS = [f"{end}_{side}_{part}" for end in ("front", "hind") for side in SIDES for part in ("knee", "paw")]
UPPER = [({"front": "withers", "hind": "hip"}[leg.split("_")[0]], leg) for leg in LEGS if "knee" in leg]
ANIMAL = {
    "name": "dog_12",
    "category": "dog",
    "joints": ["nose", "withers", "hip", "tail", *LEGS],
    "mirror": [[name, name.replace("left", "right")] for name in LEGS if "left" in name],
    "limbs": [["nose", "withers", "hip", "tail"]] + [[a, knee, knee.replace("knee", "paw")] for a, knee in UPPER],
}  # fmt: skip


def dogs(count: int, seed: int) -> np.ndarray:
    """Pixels (N, 12, 2) of dogs seen from the side, walking."""
    rng = np.random.default_rng(seed)
    at = {"nose": (0, 40), "withers": (80, 60), "hip": (200, 65), "tail": (240, 40)}
    for end, x in (("front", 80), ("hind", 200)):
        for side, shift in (("left", 6), ("right", -6)):
            at |= {f"{end}_{side}_knee": (x + shift, 110), f"{end}_{side}_paw": (x + shift, 160)}
    rest_J2 = np.array([at[joint] for joint in ANIMAL["joints"]], float)
    step_N = rng.uniform(-25, 25, (count, 4))
    dogs_NJ2 = np.tile(rest_J2, (count, 1, 1)) + rng.normal(0, 3, (count, 12, 2))
    for leg in range(4):
        dogs_NJ2[:, 5 + 2 * leg, 0] += step_N[:, leg]
    return dogs_NJ2


def hands(count: int, seed: int) -> np.ndarray:
    """Pixels (N, 21, 2) of open and closed hands."""
    rng = np.random.default_rng(seed)
    angles_5 = np.radians([150, 115, 92, 70, 48])
    reach_NF4 = np.array([40, 60, 78, 92]) * rng.uniform(0.5, 1, (count, 5, 1))
    fingers = np.stack([np.cos(angles_5)[:, None] * reach_NF4, -np.sin(angles_5)[:, None] * reach_NF4], 3)
    return np.concatenate([np.zeros((count, 1, 2)), fingers.reshape(count, 20, 2)], 1) + rng.normal(
        0, 1, (count, 21, 2)
    )


@pytest.fixture(scope="module", params=["dog", "hand"])
def road(request, tmp_path_factory) -> dict:
    """Everything up to an exported data set, by commands; the skeleton's file is gone after the training."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "dog":
        (folder / "own.yaml").write_text(yaml.safe_dump(ANIMAL))
        name, make = "own.yaml", dogs
    else:
        name, make = "hand_21", hands
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    skeleton = load_skeleton(name)
    for file, count, seed in (("source", 300, 0), ("shots", 6, 1)):
        np.savez(f"{file}.npz", keypoints=make(count, seed), joints=np.array(skeleton.joints))
    recipe = {"name": "own", "skeleton": name, "source": "poses:source.parquet", "pretrain": PRETRAIN}
    Path("own_recipe.yaml").write_text(yaml.safe_dump(recipe))

    def done(*words: str) -> dict:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main([*words, "--json"]) == 0, words
        return json.loads(out.getvalue())

    with here.without_ray():
        for file in ("source", "shots"):
            done("prepare", "--source", f"table:{file}.npz", "--skeleton", name, "--out", f"{file}.parquet")
        trained = done("pretrain", "own_recipe.yaml", "--storage", "runs")
        Path("own.yaml").unlink(missing_ok=True)
        done("adapt", "--generator", trained["generator"], "--shots", "shots.parquet", "--out", "model")
        done("generate", "--generator", "model", "--count", "40", "--set", "generate.images=png", "--out", "data")
        for kind in ("coco", "npz"):
            done("export", "data", "--format", kind, "--out", f"out_{kind}")
    yield {"folder": folder, "skeleton": skeleton, "generator": trained["generator"], "make": make}
    patch.undo()


def test_poses_of_the_skeleton_are_read_and_trained_on(road):
    poses = read_poses(road["folder"] / "source.parquet")
    assert poses.skeleton == road["skeleton"] and len(poses) == 300
    assert load_generator(road["generator"]).alpha.skeleton == road["skeleton"]


def test_a_data_set_of_it_verifies_and_knows_its_skeleton_without_the_file(road):
    store = open_store(str(road["folder"] / "data"))
    assert verify(store) == []
    reader = PoseReader(store)
    assert reader.skeleton.joints == road["skeleton"].joints
    assert reader.first(40).shape == (40, road["skeleton"].n_joints, 2)


def test_an_export_names_its_joints_limbs_and_kind(road):
    found = json.loads((road["folder"] / "out_coco" / "annotations.json").read_text())
    (category,), skeleton = found["categories"], road["skeleton"]
    assert category["keypoints"] == list(skeleton.joints) and category["name"] == skeleton.category
    assert category["skeleton"] == [[a + 1, b + 1] for a, b in skeleton.limbs]
    picture = cv2.imread(str(road["folder"] / "out_coco" / "images" / found["images"][0]["file_name"]))
    assert picture is not None and picture.max() > 100


@pytest.mark.slow
def test_a_stylegan_learns_it_too(tmp_path, monkeypatch):
    from flexpose_ray.config import Recipe, parse
    from flexpose_ray.engine.train.run import pretrain

    monkeypatch.chdir(tmp_path)
    np.savez("source.npz", keypoints=hands(200, 0))
    source = "table:source.npz?skeleton=hand_21"
    values = {"name": "own", "skeleton": "hand_21", "source": source, "pretrain": PRETRAIN | STYLEGAN | {"kimg": 0.16}}
    with here.without_ray():
        done = pretrain(parse(Recipe, values, "test"), str(tmp_path / "runs"), lambda _: None)
    assert load_generator(done["generator"]).alpha.skeleton == get_skeleton("hand_21")
