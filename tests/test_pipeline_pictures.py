"""A run whose recipe names pictures ends with a detector of them, on its page too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from flexpose_ray import pipeline
from flexpose_ray.cli import main
from flexpose_ray.report import plots
from tests.small_flow import save_flow

SETTINGS = {"size": 16, "skeleton_size": 8, "width": 8, "batch": 8, "prepare_steps": 4, "steps": 3}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    save_flow(str(tmp_path / "flow"))
    values = {
        "name": "mine",
        "generator": str(tmp_path / "flow"),
        "target": {"poses": "synthetic:studio?count=320", "shots_per_label": 1},
        "generate": {"count": 60, "shard_size": 30},
        "evaluate": {"count": 64, "paper": False},
        "pictures": {
            "unlabelled": "synthetic:studio?count=48",
            "test": "synthetic:studio?part=test&count=32",
            "poses": 50,
            "mixup": 20,
            "settings": SETTINGS,
        },
    }
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_a_run_ends_with_a_detector(without_ray, recipe: Path, tmp_path: Path, capsys, monkeypatch):
    monkeypatch.setattr(plots, "TSNE_POSES", 50)
    command = ["pipeline", str(recipe), "--storage", str(tmp_path / "runs")]
    assert main([*command, "--dry-run"]) == 0
    assert "48 pictures to learn from" in capsys.readouterr().out and not (tmp_path / "runs").exists()

    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    done = json.loads(out)
    found = done["detector"]
    assert (found["pictures"], found["poses"], found["steps"]) == (48, 70, 3)  # 50 of the data set, 20 by mixup
    assert [row["what"] for row in found["scores"]][:2] == ["detector", "mean pose"]
    assert "detect" in done["timings"] and "detect: " in err
    page = Path(done["report"]).read_text()
    assert "The detector" in page and "48 pictures that nobody annotated" in page and "data:image/png" in page

    monkeypatch.setattr(pipeline, "detect", lambda *_: pytest.fail("trained again"))
    assert main(command) == 0
    assert "detector, from 48 pictures and 70 poses" in capsys.readouterr().out


def test_pictures_that_cannot_be_read_are_named_before_anything_is_written(recipe: Path, tmp_path: Path, capsys):
    storage = tmp_path / "runs"
    given = ["pipeline", str(recipe), "--storage", str(storage), "--set", f"pictures.unlabelled={tmp_path}/none"]
    assert main(given) == 2
    assert "none: no pictures" in capsys.readouterr().err and not storage.exists()
