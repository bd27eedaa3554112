"""A benchmark: every cell's figures are those of its poses, what is there is kept, what fails is told."""

from __future__ import annotations

import json

import numpy as np
import pytest

from flexpose_ray.config import parse
from flexpose_ray.config.benchmark import BenchmarkRecipe
from flexpose_ray.engine.benchmark import run as module
from flexpose_ray.engine.benchmark.cell import FIRST_SAMPLE, measure, read_pair
from flexpose_ray.engine.benchmark.run import plan_benchmark, run_benchmark
from flexpose_ray.engine.benchmark.table import COLUMNS, format_benchmark, markdown, summarise
from flexpose_ray.errors import ConfigError, DataError, WeightsError
from flexpose_ray.evaluation.target import split_target
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.methods.simple import coral_poses
from flexpose_ray.models.generators import load_generator
from flexpose_ray.sources.read import read_source
from flexpose_ray.storage.open import open_store
from tests.shared_ray import SharedRay
from tests.small_flow import save_flow

FLOW = {"steps": 20, "tune_steps": 5, "width": 8, "depth": 1, "batch": 32, "euler": 3, "mixup": 30}
METHODS = {"coral": None, "flow": FLOW, "ours": {"method": "flexpose", "steps": 2, "batch": 8, "mixup": 30}}


def recipe(generator: str, **changes) -> BenchmarkRecipe:
    pair = {
        "name": "cycling-rowing",
        "generator": generator,
        "source": "synthetic:cycling?count=200",
        "target": {"poses": "synthetic:rowing?count=300", "shots_per_label": 6},
    }
    values = {"name": "test", "pairs": [pair], "methods": METHODS, "seeds": [0, 1], "count": 64, **changes}
    return parse(BenchmarkRecipe, values, "test")


def without_seconds(value):
    if isinstance(value, dict):
        return {k: without_seconds(v) for k, v in value.items() if k not in ("seconds", "run")}
    return [without_seconds(v) for v in value] if isinstance(value, list) else value


def cells(uri: str) -> dict[str, bytes]:
    store = open_store(uri)
    return {key: store.get(key) for key in store.list("cells/")}


@pytest.fixture
def no_ray(monkeypatch):
    def refuse(**_):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(module, "ray_session", refuse)


@pytest.fixture(scope="module")
def done(shared_ray: SharedRay, tiny_generator: str, tmp_path_factory) -> tuple[BenchmarkRecipe, str, dict]:
    """A finished benchmark: its recipe, storage and table."""
    shared_ray.start()
    storage, made = str(tmp_path_factory.mktemp("runs")), recipe(tiny_generator)
    return made, storage, run_benchmark(made, storage, workers=2, on_progress=lambda *at: None)


@pytest.mark.slow
def test_a_cell_holds_the_figures_of_its_own_poses(done):
    made, _, table = done
    cell = json.loads(open_store(table["run"]).get("cells/cycling-rowing/coral-1.json"))
    held, shots, _ = split_target(made.pairs[0].target, 1)
    source, _ = read_source("synthetic:cycling?count=200")
    poses_NJ2 = coral_poses(source.keypoints_NJ2, shots.keypoints_NJ2, 64, FIRST_SAMPLE + 1)
    np.testing.assert_allclose(cell["poses"], poses_NJ2[:8], atol=1e-4)
    rng = np.random.default_rng(1)
    judged = [x[rng.choice(len(x), 64, replace=False)] for x in (held.keypoints_NJ2, poses_NJ2)]
    assert cell["fd"] == pytest.approx(frechet_distance(*judged), rel=1e-6)
    assert (cell["count"], cell["shots"], cell["parameters"], cell["error"]) == (64, 6, 930, None)
    assert 0 < cell["share"] < 1 and cell["bytes"] > 6 * 30 * 4
    assert 0 <= cell["plausible"] <= 1 and cell["floor"]["plausible"] > 0.5


@pytest.mark.slow
def test_the_table_holds_mean_and_spread_over_the_draws(done):
    _, _, table = done
    (pair,) = table["pairs"]
    assert [row["name"] for row in pair["rows"]] == list(METHODS) and table["failed"] == 0
    store = open_store(table["run"])
    fds = [json.loads(store.get(f"cells/cycling-rowing/flow-{seed}.json"))["fd"] for seed in (0, 1)]
    flow = pair["rows"][1]
    assert fds[0] != fds[1]
    assert flow["fd"] == pytest.approx({"mean": np.mean(fds), "std": abs(fds[0] - fds[1]) / np.sqrt(2)})
    assert set(flow) >= set(COLUMNS) and flow["draws"] == 2 and flow["settings"] == FLOW
    least = min(pair["rows"], key=lambda row: row["fd"]["mean"])["name"]
    assert pair["best"]["fd"] == least
    assert json.loads(store.get("benchmark.json")) == table
    text = format_benchmark(table)
    assert text.count("*0.") + text.count("*1.") >= 2 and "floor (target / target)" in text
    assert store.get("benchmark.md").decode() == markdown(table)
    assert markdown(table).count("\n| ") == len(METHODS) + 3


@pytest.mark.slow
def test_the_same_again_starts_nothing_and_says_the_same(done, no_ray):
    made, storage, table = done
    before = cells(table["run"])
    assert run_benchmark(made, storage, on_progress=lambda *at: None) == table
    assert cells(table["run"]) == before


@pytest.mark.slow
def test_elsewhere_the_same_command_gives_the_same_figures(done, ray_cluster, s3_uri: str):
    made, _, table = done
    steps = []
    again = run_benchmark(made, s3_uri, 2, on_progress=lambda *at: steps.append(at))
    assert without_seconds(again) == without_seconds(table)
    assert steps == [(n, 6) for n in range(7)]


@pytest.mark.slow
def test_what_fails_is_told_and_tried_again(done, ray_cluster, tiny_generator: str):
    """And a row more leaves the cells that are there as they are."""
    _, storage, table = done
    before = cells(table["run"])
    broken = METHODS | {"frozen": {"method": "freezed", "frozen": 9, "steps": 1, "batch": 4}}
    failed = run_benchmark(recipe(tiny_generator, methods=broken), storage, on_progress=lambda *at: None)
    row = failed["pairs"][0]["rows"][3]
    assert failed["run"] == table["run"] and failed["failed"] == 2
    assert row["draws"] == 0 and row["errors"] == ["frozen: cannot freeze 9 blocks (this discriminator has 2)"]
    assert failed["pairs"][0]["rows"][:3] == table["pairs"][0]["rows"]
    assert any("failed: frozen: cannot freeze 9 blocks" in line for line in failed["pairs"][0]["says"])
    assert "failed" in format_benchmark(failed)
    kept = json.loads(cells(table["run"])["cells/cycling-rowing/frozen-0.json"])
    assert kept["error"].startswith("frozen: cannot freeze 9")
    assert {key: data for key, data in cells(table["run"]).items() if "frozen" not in key} == before

    mended = METHODS | {"frozen": {"method": "freezed", "frozen": 1, "steps": 1, "batch": 4}}
    again = run_benchmark(recipe(tiny_generator, methods=mended), storage, on_progress=lambda *at: None)
    assert again["failed"] == 0 and again["pairs"][0]["rows"][3]["draws"] == 2
    assert {key: data for key, data in cells(table["run"]).items() if "frozen" not in key} == before


def test_a_cell_of_other_settings_counts_as_missing(tiny_generator: str, tmp_path):
    plan = plan_benchmark(recipe(tiny_generator), str(tmp_path))
    assert len(plan.missing) == 6 and not plan.done
    first = plan.missing[0]
    found = {"pair": first.pair, "row": first.row, "seed": first.seed, "make": first.fingerprint, "error": None}
    plan.store.put(first.key, json.dumps(found).encode())
    assert len(plan_benchmark(recipe(tiny_generator), str(tmp_path)).missing) == 5
    other = METHODS | {"coral": {"shrink": 0.2}}
    assert len(plan_benchmark(recipe(tiny_generator, methods=other), str(tmp_path)).missing) == 6
    plan.store.put(first.key, json.dumps(found | {"error": "out of memory"}).encode())
    assert len(plan_benchmark(recipe(tiny_generator), str(tmp_path)).missing) == 6


def test_a_draw_gives_its_seed_to_training_unless_the_recipe_does(tiny_generator: str, tmp_path):
    methods = {"flow": FLOW, "pinned": {"method": "flow", **FLOW, "seed": 5}}
    plan = plan_benchmark(recipe(tiny_generator, methods=methods, seeds=[3]), str(tmp_path))
    assert [cell.settings.seed for cell in plan.missing] == [3, 5]


def test_a_row_may_make_more_poses_than_it_is_compared_with(tiny_generator: str, tmp_path):
    made = recipe(tiny_generator, methods={"coral": None, "more": {"method": "coral", "count": 400}}, seeds=[0])
    few, more = plan_benchmark(made, str(tmp_path)).missing
    assert few.fingerprint != more.fingerprint and few.settings == more.settings
    pair, base = made.pairs[0], load_generator(tiny_generator)
    results = [measure(cell, pair, base, read_pair(pair, made, base), made.count, "cpu") for cell in (few, more)]
    assert results[0]["coverage"] < results[1]["coverage"] and results[0]["floor"] == results[1]["floor"]
    assert [result["count"] for result in results] == [64, 64]
    table = summarise(made, results)
    (row,) = table["pairs"][0]["rows"][1:]
    assert row["settings"] == {"count": 400} and row["title"].endswith("[more: count 400]")
    assert "64 target poses, as many generated where a row names no count" in format_benchmark(table)


def test_rows_adapt_the_kind_that_they_need_or_ask_for(tiny_generator: str, tmp_path):
    """One pair has a flow and a StyleGAN; what only a StyleGAN has is adapted there."""
    flow = str(tmp_path / "flow")
    save_flow(flow)
    blend = {"method": "flexpose_blend", "prior": 0.5}
    methods = METHODS | {"blend": blend, "blend_stylegan": blend | {"kind": "stylegan"}, "unadapted": {}}
    values = recipe(flow).model_dump(mode="json")["pairs"][0] | {"stylegan": tiny_generator}
    made = recipe(flow, pairs=[values], methods=methods, seeds=[0])
    cells = plan_benchmark(made, str(tmp_path)).missing
    uris = {"ours": tiny_generator, "blend_stylegan": tiny_generator}
    assert {cell.row: cell.generator for cell in cells} == dict.fromkeys(methods, flow) | uris
    assert len({cell.fingerprint for cell in cells}) == len(cells)
    (pair,), chosen = made.pairs, [cell for cell in cells if cell.row.startswith("blend")]
    results = []
    for cell in chosen:
        base = load_generator(cell.generator)
        results.append(measure(cell, pair, base, read_pair(pair, made, base), made.count, "cpu"))
    assert [result["kind"] for result in results] == ["flow", "stylegan"]
    assert results[0]["poses"] != results[1]["poses"] and results[0]["floor"]["fd"] == results[1]["floor"]["fd"]
    *_, one, other, _ = summarise(made, results)["pairs"][0]["rows"]
    assert (one["kinds"], other["kinds"]) == (["flow"], ["stylegan"]) and "kind stylegan" in other["title"]


def test_a_row_whose_kind_is_not_there_is_told(tiny_generator: str, tmp_path):
    flow, storage = str(tmp_path / "flow"), str(tmp_path / "runs")
    save_flow(flow)
    with pytest.raises(ConfigError, match=r"pairs.cycling-rowing: row ours needs a stylegan.*add stylegan: URI"):
        plan_benchmark(recipe(flow), storage)
    asked = {"blend": {"method": "flexpose_blend", "kind": "flow"}}
    with pytest.raises(ConfigError, match=r"row blend needs a flow.*name a flow"):
        plan_benchmark(recipe(tiny_generator, methods=asked), storage)
    with pytest.raises(ConfigError, match=r"methods.lora: lora adapts a StyleGAN"):
        plan_benchmark(recipe(flow, methods={"lora": {"kind": "flow"}}), storage)


def test_bad_input_is_told_before_anything_starts(tiny_generator: str, tmp_path, no_ray):
    storage = str(tmp_path / "runs")

    def changed(**changes) -> BenchmarkRecipe:
        pair = recipe(tiny_generator).model_dump(mode="json")["pairs"][0]
        return recipe(tiny_generator, pairs=[{**pair, **changes}])

    quiet = {"on_progress": lambda *at: None}
    with pytest.raises(WeightsError, match="nowhere"):
        run_benchmark(changed(generator=str(tmp_path / "nowhere")), storage, **quiet)
    with pytest.raises(DataError, match="no such file"):
        run_benchmark(changed(source="coco:/nowhere/x.json"), storage, **quiet)
    with pytest.raises(DataError, match=r"pairs.cycling-rowing: 1 shot, at least two"):
        run_benchmark(changed(target={"poses": "synthetic:rowing?count=300", "shots_per_label": 1}), storage, **quiet)
    with pytest.raises(ConfigError, match=r"^workers: 0"):
        run_benchmark(recipe(tiny_generator), storage, workers=0)
    assert not (tmp_path / "runs").exists()


# ----- what the table says


def cell(row: str, fd: float, coverage: float, seed: int = 0) -> dict:
    figures = dict.fromkeys(COLUMNS, 0.1) | {"fd": fd, "coverage": coverage}
    floor = {"fd": 0.01, "coverage": 0.6}
    place = {"pair": "cycling-rowing", "row": row, "seed": seed, "error": None, "shots": 6, "count": 64}
    return place | figures | {"floor": floor}


def said(tiny: str, figures: dict[str, tuple[float, float]]) -> list[str]:
    made = recipe(tiny, methods=list(figures))
    return summarise(made, [cell(name, *pair) for name, pair in figures.items()])["pairs"][0]["says"]


def test_it_says_whether_flexpose_is_ahead():
    ahead = said(
        "x", {"aligned": (0.01, 0.7), "coral": (0.05, 0.1), "flexpose": (0.2, 0.1), "flexpose_moments": (0.04, 0.2)}
    )
    assert ahead[0].startswith("The best FlexPose variant, FlexPose, moments, beats every other method: FD 0.0400")
    assert ahead[1].startswith("It covers at least as much: 0.200")
    behind = said("x", {"coral": (0.05, 0.3), "flow": (0.06, 0.4), "flexpose_moments": (0.07, 0.2)})
    assert "does not beat every other method: FD 0.0700 ± 0.0000 against 0.0500 ± 0.0000 of CORAL" in behind[0]
    assert behind[1] == "It covers less: 0.200 ± 0.000 against 0.400 ± 0.000 of flow matching, tuned."


def test_it_says_how_the_papers_setting_stands():
    rivals = {"finetune": (0.3, 0.1), "lora": (0.1, 0.1)}
    (*_, behind) = said("x", {**rivals, "flexpose": (0.2, 0.1)})
    assert behind == "The paper's own setting, FD 0.2000 ± 0.0000, is behind LoRA, rank 1."
    (*_, ahead) = said("x", {**rivals, "flexpose": (0.05, 0.1)})
    assert ahead.endswith("is better than fine-tuning (TransferGAN), LoRA, rank 1.")


def test_references_are_never_best():
    made = recipe("x", methods=["aligned", "coral"])
    (pair,) = summarise(made, [cell("aligned", 0.01, 0.9), cell("coral", 0.05, 0.2)])["pairs"]
    assert pair["best"] == {"fd": "coral", "coverage": "coral"}


def test_a_pair_without_any_success_is_shown_as_that():
    made = recipe("x", methods=["coral"])
    broken = {"pair": "cycling-rowing", "row": "coral", "seed": 0, "make": "", "error": "boom"}
    table = summarise(made, [broken])
    assert "no cell succeeded" in format_benchmark(table) and "CORAL failed: boom" in markdown(table)
