"""The shipped recipes of benchmarks: what they plan is what their headers count, and they read the layout that
they name."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from flexpose_ray.config import parse, read_recipe
from flexpose_ray.config.benchmark import BenchmarkRecipe
from flexpose_ray.config.reading import read_values, shipped_recipes
from flexpose_ray.engine.benchmark.run import check_pairs, plan_benchmark, read_galleries
from flexpose_ray.errors import FlexPoseError
from flexpose_ray.pose.skeleton import FACE_68
from flexpose_ray.sources.formats.published.wflw import OF_98
from tests.small_flow import save_face_flow

GENERATORS = ("FLEXPOSE_MPII", "FLEXPOSE_CMU", "FLEXPOSE_BOTH", "FLEXPOSE_GREY", "FLEXPOSE_COLOUR")
FACES = ("FLEXPOSE_FACES", "FLEXPOSE_FACES_STYLEGAN")
DETECTOR = {"size": 16, "skeleton_size": 8, "width": 8, "steps": 3}


def text_of(name: str) -> str:
    return (resources.files("flexpose_ray.recipes") / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", shipped_recipes(BenchmarkRecipe))
def test_every_recipe_plans_its_cells_and_the_trainings_that_its_header_counts(
    name: str, tiny_generator: str, tmp_path, monkeypatch
):
    for variable in (*GENERATORS, *FACES):
        monkeypatch.setenv(variable, tiny_generator)
    recipe = read_recipe(BenchmarkRecipe, name)
    plan = plan_benchmark(recipe, str(tmp_path))
    assert len(plan.missing) == len(recipe.pairs) * len(recipe.methods) * len(recipe.seeds)
    judged = [pair.detector for pair in recipe.pairs if pair.detector]
    trained = [cell for cell in plan.untrained if cell.row != "mean_pose"]
    each = len(recipe.methods) * len(recipe.seeds) + 1  # and a supervised twin: all name annotated pictures
    assert len(trained) == sum(each * len(detector.seeds) for detector in judged)
    if counted := re.search(r"Cost: (\d+)\s(?:# )?trainings", text_of(name)):
        assert int(counted[1]) == len(trained)


@pytest.mark.parametrize("name", ["benchmark_ablation_size", "benchmark_ablation_shots"])
def test_ablations_change_one_thing_alone(name: str):
    recipe = read_recipe(BenchmarkRecipe, name)
    rows = [row for row in recipe.methods.values() if row.method == "flexpose_blend"]
    changed = {"benchmark_ablation_size": "poses", "benchmark_ablation_shots": "shots_per_label"}[name]
    assert len({getattr(row, changed) for row in rows}) == len(rows) > 2
    assert len({row.model_copy(update={changed: None}).model_dump_json() for row in rows}) == 1


@pytest.mark.parametrize("name", ["benchmark_h36m", "benchmark_wflw"])
def test_data_that_is_not_there_is_named_in_one_line(name: str, tiny_generator: str, tmp_path, monkeypatch):
    def told() -> str:
        with pytest.raises(FlexPoseError) as error:
            recipe = read_recipe(BenchmarkRecipe, name)
            check_pairs(recipe, plan_benchmark(recipe, str(tmp_path)))
        assert "\n" not in str(error.value)
        return str(error.value)

    variables = {"benchmark_h36m": "FLEXPOSE_H36M", "benchmark_wflw": "FLEXPOSE_WFLW"}
    for variable in (*variables.values(), *FACES):
        monkeypatch.delenv(variable, raising=False)
    first = {"benchmark_h36m": "FLEXPOSE_H36M", "benchmark_wflw": "FLEXPOSE_FACES"}[name]
    assert f"environment variable {first} is not set (export {first}=" in told()
    for variable in FACES:
        monkeypatch.setenv(variable, tiny_generator)
    monkeypatch.setenv(variables[name], "/nowhere")
    assert re.match(r"/nowhere\S*: no such file or folder", told())


def small(name: str, generator: str, **changes: str) -> BenchmarkRecipe:
    """The recipe with a small generator, small detectors and ``changes`` of its pair."""
    values = read_values(BenchmarkRecipe, name)
    (pair,) = values["pairs"]
    pair |= {"generator": generator, "stylegan": None, **changes}
    pair["detector"]["settings"] = DETECTOR
    return parse(BenchmarkRecipe, values | {"methods": ["aligned"]}, name)


def read_all(recipe: BenchmarkRecipe, storage: Path):
    plan = plan_benchmark(recipe, str(storage))
    poses = check_pairs(recipe, plan)
    return poses[recipe.pairs[0].name], read_galleries(recipe, plan, poses)[recipe.pairs[0].name]


def test_the_recipe_of_human36m_reads_the_simplified_set(tiny_generator: str, tmp_path, monkeypatch):
    points_J2 = np.random.default_rng(0).uniform(0.2, 0.8, (32, 2))
    for subject in ("S1", "S9", "S11"):
        for sequence in ("Walking-1", "Posing"):
            places = [tmp_path / subject / kind / sequence for kind in ("Landmarks", "WithBackground", "BackgroudMask")]
            for place in places:
                place.mkdir(parents=True)
            for frame in range(0, 200, 25):
                scipy.io.savemat(places[0] / f"{frame}.mat", {"keypoints_2d": points_J2})
                cv2.imwrite(str(places[1] / f"{frame}.jpg"), np.full((128, 128, 3), 99, np.uint8))
                cv2.imwrite(str(places[2] / f"{frame}.png"), np.full((128, 128), 255 * (frame > 0), np.uint8))
    monkeypatch.setenv("FLEXPOSE_H36M", str(tmp_path))
    poses, gallery = read_all(
        small("benchmark_h36m", tiny_generator, source="synthetic:rowing?count=64"), tmp_path / "runs"
    )
    groups = {*poses.rest.group_N, *poses.held.group_N}
    assert groups == {f"{subject} {sequence}" for subject in ("S1", "S9") for sequence in ("Walking-1", "Posing")}
    assert len(poses.rest) + len(poses.held) == 4 * 4  # the second halves of eight frames
    assert len(gallery.pictures.pictures_N3SS) == 4 * 4 and len(gallery.test) == 2 * 8
    assert set(gallery.pictures.clip_N) == groups and set(gallery.test.poses.label_N) == {"Walking", "Posing"}
    dark_N = gallery.test.pictures_N3SS.max((1, 2, 3)) == 0  # where the mask leaves nothing
    assert dark_N.sum() == 2


def test_the_recipe_of_wflw_reads_its_lists_and_pictures(tmp_path, monkeypatch):
    lists = tmp_path / "WFLW_annotations" / "list_98pt_rect_attr_train_test"
    lists.mkdir(parents=True)
    (tmp_path / "WFLW_images" / "0--Parade").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 8)):
        lines = []
        for i in range(count):
            points = " ".join(f"{v:.3f}" for v in rng.uniform(20, 100, 196))
            lines.append(f"{points} 20 20 100 100 0 0 0 0 0 0 0--Parade/{part}_{i}.jpg")
            picture = np.full((120, 120, 3), 50 + i, np.uint8)
            cv2.imwrite(str(tmp_path / "WFLW_images" / "0--Parade" / f"{part}_{i}.jpg"), picture)
        (lists / f"list_98pt_rect_attr_{part}.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "300VW" / "001" / "annot").mkdir(parents=True)
    for frame in (1, 2):
        points = "\n".join(f"{x:.3f} {y:.3f}" for x, y in rng.uniform(200, 400, (68, 2)))
        text = f"version: 1\nn_points: 68\n{{\n{points}\n}}\n"
        (tmp_path / "300VW" / "001" / "annot" / f"{frame:06d}.pts").write_text(text)
    monkeypatch.setenv("FLEXPOSE_WFLW", str(tmp_path))
    monkeypatch.setenv("FLEXPOSE_300VW", str(tmp_path / "300VW"))
    save_face_flow(flow := str(tmp_path / "flow"))
    poses, gallery = read_all(small("benchmark_wflw", flow), tmp_path / "runs")
    assert poses.source_NJ2.shape == (2, 68, 2)
    assert len(poses.rest) + len(poses.held) == 40 and len(poses.held) == 8
    assert len(gallery.pictures.pictures_N3SS) == 40 and len(gallery.test) == 8
    assert poses.rest.keypoints_NJ2.shape[1] == FACE_68.n_joints == len(OF_98)
