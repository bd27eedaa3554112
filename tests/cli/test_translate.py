"""`flexpose translate` from pictures to annotated pictures, and its faults in one line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from flexpose_ray.cli import main

TRAIN = [
    "--pictures", "synthetic:studio?count=32&backdrop=no", "--prior", "synthetic:studio?count=40",
    *(f"--set={text}" for text in ("size=32", "width=8", "blocks=1", "critic_width=8", "batch=4", "steps=5")),
]  # fmt: skip
POSES = "synthetic:studio?count=20"


def flexpose(capsys, *words: object) -> tuple[int, str, str]:
    code = main(["translate", *map(str, words)])
    return code, *capsys.readouterr()


@pytest.fixture
def model(without_ray, capsys, tmp_path: Path) -> str:
    code, out, err = flexpose(capsys, "train", *TRAIN, "--out", tmp_path / "m", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["pictures"], found["poses"], found["translator"]) == (32, 40, str(tmp_path / "m"))
    assert "picture error" in err and set(found) >= {"digest", "cycle_pictures"}
    return found["translator"]


def test_poses_become_annotated_pictures(model: str, capsys, tmp_path: Path):
    given = ["--translator", model, "--poses", POSES, "--out", tmp_path / "made"]
    code, out, _ = flexpose(capsys, "sample", *given, "--count", 7, "--dry-run")
    assert code == 0 and "would paint 7 poses" in out and not (tmp_path / "made").exists()
    code, out, err = flexpose(capsys, "sample", *given, "--count", 7, "--sheet", tmp_path / "sheet.png")
    assert code == 0 and f"{tmp_path}/made/annotations.json" in out and "7 of 7 pictures" in err
    assert cv2.imread(str(tmp_path / "made/images/00000007.png")).shape == (32, 32, 3)
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] == 128
    code, out, err = flexpose(capsys, "sample", *given, "--count", 7)
    assert (code, err) == (0, "") and "7 pictures of 32 px, nothing was missing" in out
    code, _, err = flexpose(capsys, "sample", *given)
    assert code == 2 and "choose another folder" in err


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["train", *TRAIN, "--set", "stepz=3", "--out", "m"], "--set: unknown setting stepz"),
        (["train", *TRAIN, "--set", "channels=1", "--set", "identity=1", "--out", "m"], "translator.identity: 1"),
        (["train", *TRAIN, "--workers", "3", "--out", "m"], "3 workers cannot share a batch of 4"),
        (["sample", "--translator", "nowhere", "--poses", POSES, "--out", "made"], "nowhere"),
        (["sample", "--translator", "m", "--poses", POSES, "--count", "0", "--out", "made"], "--count: 0"),
        (["sample", "--translator", "m", "--poses", POSES, "--count", "21", "--out", "made"], "21 of 20 poses"),
        (["sample", "--translator", "m", "--poses", POSES, "--out", "made", "--sheet", "a.jpg"], "is no .png file"),
        (["eval", "--translator", "nowhere", "--detector", "m", "--poses", POSES], "nowhere"),
    ],
)
def test_faults_are_one_line(words, named, capsys, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = flexpose(capsys, *words)
    assert (code, out) == (2, "") and named in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())
