"""`flexpose benchmark` as a command: faults in one line, a plan without work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flexpose_ray.cli import main


def run(*options: str) -> int:
    return main(["benchmark", *options])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["nowhere"], "nowhere: no such recipe"),
        (["benchmark_quick", "--set", "methods.flow.stepz=3"], "methods.flow: unknown key stepz"),
        (["benchmark_quick", "--set", "methods.best.method=best"], "methods.best: unknown method 'best'"),
        (["benchmark_quick", "--set", "pairs=[]"], "pairs: "),
        (["benchmark_quick", "--workers", "0"], "workers: 0 is less than 1"),
        ([], "recipe: expected exactly one"),
    ],
)
def test_faults_are_one_line(options: list[str], named: str, capsys, tmp_path: Path):
    assert run(*options, "--storage", str(tmp_path / "runs")) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("flexpose benchmark: ") and named in shown.err
    assert shown.err.count("\n") == 1 and not shown.out
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_says_what_would_be_done(capsys, tmp_path: Path):
    assert run("benchmark_quick", "--dry-run", "--json", "--storage", str(tmp_path / "runs")) == 0
    shown = capsys.readouterr()
    assert "6 methods, 1 pairs, 2 draws" in shown.err and "12 cells, 0 are there" in shown.err
    assert len(json.loads(shown.out)["missing"]) == 12
    assert not (tmp_path / "runs").exists()
