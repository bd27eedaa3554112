"""Names of folders and fingerprints of cells: a run, sweep or benchmark that an earlier version began goes on."""

from __future__ import annotations

import pytest

from flexpose_ray.config import Recipe, pretrain_key, run_key
from flexpose_ray.config.benchmark import BenchmarkRecipe, benchmark_key
from flexpose_ray.config.reading import read_recipe
from flexpose_ray.config.sweep_recipe import SweepRecipe, sweep_key
from flexpose_ray.engine.benchmark.cell import Cell


@pytest.fixture(autouse=True)
def _no_addresses(monkeypatch):
    for name in ("COLOUR", "GREY", "MPII", "BOTH", "CMU"):
        monkeypatch.delenv(f"FLEXPOSE_{name}", raising=False)


@pytest.mark.parametrize(
    ("name", "pretraining", "run"),
    [
        ("cmu", "pretrain-0071c352", "cmu-0331f0e8"),
        ("coco", "pretrain-2dfe79fd", "coco-10fcacf3"),
        ("coco_mpii", "pretrain-8a33122e", "coco_mpii-873c39ff"),
        ("coco_to_penn", "pretrain-2dfe79fd", "coco_to_penn-7045725d"),
        ("mpii", "pretrain-40981814", "mpii-58fb3ea4"),
        ("quickstart", "pretrain-2c8afd50", "quickstart-13748f1c"),
    ],
)
def test_a_whole_run_and_its_pretraining_keep_their_folders(name, pretraining, run):
    recipe = read_recipe(Recipe, name)
    assert (pretrain_key(recipe), run_key(recipe)) == (pretraining, run)


@pytest.mark.parametrize(
    ("model", "key", "folder"),
    [
        (BenchmarkRecipe, benchmark_key, "benchmark_bandai-14325ad3"),
        (BenchmarkRecipe, benchmark_key, "benchmark_generators-1f955f41"),
        (BenchmarkRecipe, benchmark_key, "benchmark_penn-f7bcdd4d"),
        (BenchmarkRecipe, benchmark_key, "benchmark_quick-240c82f8"),
        (BenchmarkRecipe, benchmark_key, "benchmark_size-5734fc5d"),
        (BenchmarkRecipe, benchmark_key, "benchmark_sources-4dacfed2"),
        (SweepRecipe, sweep_key, "sweep-sweep_layers-f7e6643d"),
        (SweepRecipe, sweep_key, "sweep-sweep_loss-75285198"),
        (SweepRecipe, sweep_key, "sweep-sweep_quick-af8c2138"),
    ],
)
def test_benchmarks_and_sweeps_keep_their_folders(model, key, folder):
    name = folder.rpartition("-")[0].removeprefix("sweep-")
    assert key(read_recipe(model, name)) == folder


@pytest.mark.parametrize(
    ("recipe", "row", "fingerprint"),
    [
        ("benchmark_quick", "pose_mixup", "35f3f301"),
        ("benchmark_quick", "coral", "21de5e97"),
        ("benchmark_quick", "flow", "bcdde693"),
        ("benchmark_quick", "lora", "45282a1f"),
        ("benchmark_quick", "flexpose", "b3d90017"),
        ("benchmark_size", "blend_5k", "99209917"),
        ("benchmark_size", "coral_121k", "b3288ab1"),
    ],
)
def test_cells_keep_their_fingerprints(recipe, row, fingerprint):
    digest = "e27129ef0b56d03752358ced1b15855579dbc3f91c08f273e71efd4a4f2ea062"
    wanted = read_recipe(BenchmarkRecipe, recipe)
    cell = Cell.of(wanted.pairs[0], "builtin:coco", digest, row, wanted.methods[row], 1, wanted.count)
    assert (cell.fingerprint, cell.key) == (fingerprint, f"cells/{wanted.pairs[0].name}/{row}-1.json")
