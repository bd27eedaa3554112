"""SIGKILL of `flexpose benchmark` amid its cells: nothing finished is done again, and the rest is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.chaos.kill import kill_with_all_it_started

PATIENCE_S = 300.0
FLEXPOSE = Path(sys.executable).with_name("flexpose")


def command(tiny_generator: str, storage: Path, *options: str) -> list[str | Path]:
    pair = {
        "name": "cycling-rowing",
        "generator": tiny_generator,
        "source": "synthetic:cycling?count=200",
        "target": {"poses": "synthetic:rowing?count=200", "shots_per_label": 6},
    }
    changes = [f"pairs={json.dumps([pair])}", "seeds=[0, 1]", "count=64", *options]
    sets = [part for change in changes for part in ("--set", change)]
    return [FLEXPOSE, "benchmark", "benchmark_quick", "--storage", storage, "--workers", "2", "--json", *sets]


def environment(ray_folder: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
    return kept | {"RAY_TMPDIR": ray_folder, "OMP_NUM_THREADS": "1"}


def cells(storage: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in storage.glob("*/cells/*/*.json")}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_benchmark_goes_on_where_it_was(tiny_generator: str, ray_folder: str, tmp_path: Path):
    slow = ["methods.flow.steps=400"]  # so that it is caught in the middle
    storage, env = tmp_path / "killed", environment(ray_folder)
    with open(tmp_path / "said", "wb") as said:
        said_to = {"stdout": said, "stderr": said}
        driver = psutil.Popen(command(tiny_generator, storage, *slow), env=env, start_new_session=True, **said_to)
    deadline = time.monotonic() + PATIENCE_S
    while driver.poll() is None and not cells(storage) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert driver.poll() is None, (tmp_path / "said").read_text()
    kill_with_all_it_started(driver)
    kept = cells(storage)
    assert 0 < len(kept) < 10, "not killed amid the cells"
    assert not list(storage.glob("*/benchmark.json"))

    again = subprocess.run(command(tiny_generator, storage, *slow), env=env, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert cells(storage).items() >= kept.items(), "what was finished was done again"
    assert len(cells(storage)) == 10 and not list(storage.rglob(".tmp-*"))
    table = json.loads(again.stdout)
    assert {row["draws"] for row in table["pairs"][0]["rows"]} == {2}

    assert Path(table["report"]).read_text().startswith("<!DOCTYPE html>")
    assert "CORAL" in again.stderr and "10 of 10 cells" in again.stderr  # with --json the table is for the eyes
