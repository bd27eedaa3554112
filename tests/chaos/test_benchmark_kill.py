"""SIGKILL of `flexpose benchmark` amid its cells: nothing finished is done again, and the rest is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flexpose_ray.cli import main
from tests.chaos.kill import kill_driver, wait_until
from tests.forked import ForkedCommand


def words(tiny_generator: str, storage: Path) -> list[str]:
    pair = {
        "name": "cycling-rowing",
        "generator": tiny_generator,
        "source": "synthetic:cycling?count=200",
        "target": {"poses": "synthetic:rowing?count=200", "shots_per_label": 6},
    }
    slow = "methods.flow.steps=400"  # so that it is caught in the middle
    changes = [f"pairs={json.dumps([pair])}", "seeds=[0, 1]", "count=64", slow]
    sets = [part for change in changes for part in ("--set", change)]
    return ["benchmark", "benchmark_quick", "--storage", str(storage), "--workers", "2", "--json", *sets]


def cells(storage: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in storage.glob("*/cells/*/*.json")}


@pytest.mark.slow
def test_a_killed_benchmark_goes_on_where_it_was(
    tiny_generator: str, joins_ray: dict[str, str], tmp_path: Path, capsys
):
    command = words(tiny_generator, tmp_path)
    driver = ForkedCommand(command, joins_ray).start()
    wait_until(lambda: cells(tmp_path), driver)
    kill_driver(driver, "ray::_measure_cell")
    kept, unfinished = cells(tmp_path), set(tmp_path.rglob(".tmp-*"))  # of a worker that was killed amid a write
    assert 0 < len(kept) < 12, "not killed amid the cells"
    assert not list(tmp_path.glob("*/benchmark.json"))

    assert main(command) == 0
    out, err = capsys.readouterr()
    assert cells(tmp_path).items() >= kept.items(), "what was finished was done again"
    assert len(cells(tmp_path)) == 12 and set(tmp_path.rglob(".tmp-*")) <= unfinished
    table = json.loads(out)
    assert {row["draws"] for row in table["pairs"][0]["rows"]} == {2}

    assert Path(table["report"]).read_text().startswith("<!DOCTYPE html>")
    assert "CORAL" in err and "12 of 12 cells" in err  # with --json the table is for the eyes
