"""A whole run in one command: it ends with all its files, goes on where it was, and ends at once when it is done."""

from __future__ import annotations

import json
import shutil
from html import escape
from pathlib import Path

import numpy as np
import pytest
import ray
import yaml

from flexpose_ray.cli import main
from flexpose_ray.dataset.reader import PoseReader
from flexpose_ray.dataset.verify import verify
from flexpose_ray.engine.sweep.results import read_rows
from flexpose_ray.evaluation.compare import LABELS, YOURS
from flexpose_ray.pipeline import PAPER, UNADAPTED
from flexpose_ray.report import plots
from flexpose_ray.sources.pose_file import read_poses
from flexpose_ray.storage.base import Store
from flexpose_ray.storage.open import open_store

pytestmark = pytest.mark.slow
METHODS = [*LABELS.values(), UNADAPTED, PAPER, YOURS]


@pytest.fixture(autouse=True)
def _small_maps(monkeypatch) -> None:
    """Pages that are drawn in this process embed fewer poses: of 500 a set it takes four seconds."""
    monkeypatch.setattr(plots, "TSNE_POSES", 50)


def files(folder: Path) -> dict[str, int]:
    """All files below with the time of their last change, and all folders."""
    return {str(path): path.is_file() and path.stat().st_mtime_ns for path in folder.rglob("*")}


def contents(store: Store, prefix: str = "") -> dict[str, bytes]:
    return {key: store.get(key) for key in store.list(prefix)}


def index(store: Store) -> np.ndarray:
    return np.concatenate([shard["index"] for shard in PoseReader(store).blocks()])


@pytest.fixture(scope="module")
def result(finished_run) -> dict:
    """What the finished run printed."""
    assert finished_run.returncode == 0, finished_run.stderr
    assert finished_run.stdout.count("\n") == 1, finished_run.stdout
    return json.loads(finished_run.stdout)


@pytest.fixture
def copied_run(result: dict, tmp_path: Path) -> Path:
    """A copy of the finished run that a test may damage."""
    run = Path(result["run"])
    return Path(shutil.copytree(run, tmp_path / "runs" / run.name))


def again(capsys, recipe: str, storage: Path | str, *options: str) -> tuple[dict, str]:
    """The same command in this process; returns its JSON and what it told."""
    status = main(["pipeline", recipe, "--storage", str(storage), "--json", *options])
    out, err = capsys.readouterr()
    assert status == 0, err
    return json.loads(out), err


def test_a_run_leaves_all_its_files(finished_run, result: dict):
    run = Path(result["run"])
    assert {path.name for path in run.iterdir()} == {
        "recipe.json", "timings.json", "target.parquet", "shots.parquet", "adapted", "adapted-paper", "samples",
        "evaluation.json", "report.html", "pipeline.json",
    }  # fmt: skip
    assert (result["samples"], result["report"]) == (f"{run}/samples", f"{run}/report.html")
    assert set(result["timings"]) == {"target", "adapt", "paper", "generate", "evaluate", "report"}
    assert not list(run.rglob(".tmp-*"))
    stages = [line.partition(":")[0] for line in finished_run.stderr.splitlines()]
    assert list(dict.fromkeys(stages))[:6] == ["target", "adapt", "paper", "generate", "evaluate", "report"]
    assert "Traceback" not in finished_run.stderr and "Warning" not in finished_run.stderr


def test_shots_and_held_out_poses_share_no_group(result: dict):
    held, shots = (read_poses(f"{result['run']}/{name}.parquet") for name in ("target", "shots"))
    assert (len(shots), len(held)) == (4, 160)
    assert not set(held.group_N) & set(shots.group_N)


def test_the_data_set_is_whole(result: dict):
    store = open_store(result["samples"])
    np.testing.assert_array_equal(index(store), np.arange(990))
    assert result["count"] == 990 and verify(store) == []


def test_the_table_names_every_method(result: dict):
    evaluation = result["evaluation"]
    assert evaluation == json.loads(Path(result["run"], "evaluation.json").read_text())
    assert set(evaluation["methods"]) == {UNADAPTED, PAPER}
    assert evaluation["count"] == 64 and evaluation["shot_poses"] == 4 and evaluation["target_poses"] == 160
    assert any("no source set" in note for note in evaluation["notes"])


def test_the_report_holds_the_table_and_both_trainings(result: dict):
    page = Path(result["report"]).read_text()
    assert all(escape(name) in page for name in METHODS)
    assert f"{result['evaluation']['fd']:.4f}" in page and "adaptation" in page
    assert f"{result['run']}/samples" in page


def test_the_same_command_ends_at_once(capsys, monkeypatch, result: dict, tiny_recipe: str):
    run = Path(result["run"])
    before = files(run)
    monkeypatch.setattr(ray, "init", lambda *_, **__: pytest.fail("Ray was started"))
    repeated, told = again(capsys, tiny_recipe, run.parent)
    assert repeated == result and told.startswith("done: this run was finished before")
    assert files(run) == before


def test_who_works_does_not_make_another_run(capsys, result: dict, tiny_recipe: str):
    storage, options = Path(result["run"]).parent, ("--set", "generate.actors=1")
    assert again(capsys, tiny_recipe, storage, *options)[0] == result
    assert main(["pipeline", tiny_recipe, "--storage", str(storage), "--dry-run", *options]) == 0
    assert f"has run tiny in {result['run']}" in capsys.readouterr().out


def test_people_read_a_table(capsys, result: dict, tiny_recipe: str):
    assert main(["pipeline", tiny_recipe, "--storage", str(Path(result["run"]).parent)]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in METHODS)
    assert result["report"] in out and f"990 poses: {result['samples']}" in out


def test_a_lost_page_is_made_again(capsys, copied_run: Path, result: dict, tiny_recipe: str):
    (copied_run / "report.html").unlink()
    before = contents(open_store(copied_run / "samples"))
    made, told = again(capsys, tiny_recipe, copied_run.parent)
    assert made["evaluation"] == result["evaluation"] and "adapt: " not in told
    assert (copied_run / "report.html").exists()
    assert contents(open_store(copied_run / "samples")) == before


def test_the_page_is_made_again_by_its_own_command(capsys, copied_run: Path):
    page = copied_run / "report.html"
    page.write_text("old")
    assert main(["report", str(copied_run), "--dry-run"]) == 0
    assert page.read_text() == "old"
    assert main(["report", str(copied_run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"report": str(page)}
    assert escape(PAPER) in page.read_text()


@pytest.mark.parametrize(
    "name", ["pipeline.json", "recipe.json", "adapted/model.json", "samples/manifests/v00001.json"]
)
def test_a_damaged_file_of_a_run_is_named(capsys, copied_run: Path, tiny_recipe: str, name: str):
    (copied_run / name).write_text("{")
    verb = ["report", str(copied_run)] if name != "pipeline.json" else ["pipeline", tiny_recipe, "--storage"]
    assert main(verb if name != "pipeline.json" else [*verb, str(copied_run.parent)]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert str(copied_run / name).removesuffix("/model.json") in err


def test_a_bucket_holds_the_same_run(capsys, without_ray, result: dict, tiny_recipe: str, s3_uri: str):
    made, _ = again(capsys, tiny_recipe, s3_uri)
    assert made["run"] == f"{s3_uri}/{Path(result['run']).name}"
    there, here = open_store(made["run"]), open_store(result["run"])
    assert there.list() == here.list()
    for folder in ("run.json", "shards/", "commits/", "manifests/"):
        assert contents(there, f"samples/{folder}") == contents(here, f"samples/{folder}") != {}
    assert made["evaluation"] == result["evaluation"]
    assert escape(PAPER) in there.get("report.html").decode()
    made_again, told = again(capsys, tiny_recipe, s3_uri)
    assert made_again == made and told.startswith("done: this run was finished before")


def test_a_run_that_trains_its_generator(capsys, monkeypatch, without_ray, tmp_path: Path):
    recipe = {
        "name": "trained",
        "source": "synthetic:cycling?count=400",
        "target": {"poses": "synthetic:rowing?count=300", "shots_per_label": 4},
        "pretrain": {
            "kind": "stylegan", "teacher": "none",
            "alpha": {"size": 16}, "network": {"base": 64, "most": 16}, "beta": {"width": 4, "steps": 20, "batch": 8},
            "kimg": 0.2, "batch": 8, "report_kimg": 0.05, "eval_kimg": 0.1, "eval_samples": 64,
        },
        "adapt": {"layers": "w", "blend": False, "steps": 5, "batch": 8, "mixup": 20},
        "generate": {"count": 200, "shard_size": 50},
        "evaluate": {"count": 64, "paper": False},
    }  # fmt: skip
    (tmp_path / "trained.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    assert main(["pipeline", "trained.yaml", "--json"]) == 0
    out, told = capsys.readouterr()
    made = json.loads(out)
    assert Path(made["run"]).parent == tmp_path / "runs"
    np.testing.assert_array_equal(index(open_store(made["samples"])), np.arange(200))
    assert list(made["timings"]) == ["target", "pretrain", "adapt", "generate", "evaluate", "report"]
    assert set(made["evaluation"]["methods"]) == {UNADAPTED}
    assert not any("no source set" in note for note in made["evaluation"]["notes"])
    page = Path(made["report"]).read_text()
    assert "pretraining" in page and "<b>fd</b>" in page
    assert "pretrain: beta 20 of 20 steps" in told and "pretrain: 0.2 kimg" in told


def test_a_sweep_comes_first_and_the_run_is_that_of_its_best_point(
    capsys, ray_cluster, without_ray, tiny_recipe: str, tmp_path: Path
):
    """The sweep by Ray Tune, what comes after it in this process."""
    recipe = yaml.safe_load(Path(tiny_recipe).read_text())
    recipe["adapt"]["steps"], recipe["generate"], recipe["evaluate"]["paper"] = (
        4,
        {"count": 50, "shard_size": 25},
        False,
    )
    recipe["sweep"] = {"space": {"adapt.layers": [1, "w"]}, "samples": 64, "report_samples": 64}
    file = tmp_path / "swept.yaml"
    file.write_text(yaml.safe_dump(recipe))
    result, told = again(capsys, str(file), tmp_path / "runs")
    assert "sweep: 2 of 2 trials" in told
    best = min(read_rows(open_store(result["sweep"])), key=lambda row: row["scores"]["fd"])
    run = json.loads(Path(result["run"], "recipe.json").read_text())
    assert run["adapt"]["layers"] == best["point"]["adapt.layers"] and "sweep" not in run
    assert Path(result["sweep"], "report.html").is_file() and result["count"] == 50
    repeated, told = again(capsys, str(file), tmp_path / "runs")
    assert repeated == result and "sweep: 2 of 2 trials" in told and "finished before" in told
