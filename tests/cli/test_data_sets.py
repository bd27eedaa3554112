"""Verbs on data sets, as commands: generate, show, verify, repair, gc, export."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from flexpose_ray.cli import main
from flexpose_ray.dataset.manifest import read_manifest
from flexpose_ray.storage.open import open_store

SMALL = "--set generate.shard_size=40 --set generate.batch=16"


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path: Path, tiny_generator: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("generator").symlink_to(tiny_generator)


def run(capsys, command: str) -> tuple[int, dict]:
    """Exit status and JSON of a command."""
    status = main([*shlex.split(command), "--json"])
    return status, json.loads(capsys.readouterr().out)


@pytest.fixture
def data_set(without_ray, capsys) -> Path:
    """130 poses in four shards."""
    status, made = run(capsys, f"generate --generator generator --count 130 --seed 5 --out data {SMALL}")
    assert status == 0 and made["rendered"] == 130
    return Path("data")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and "log" not in path.parts}


def test_a_data_set_grows_by_itself(data_set: Path, capsys):
    Path("generator").unlink()
    status, grown = run(capsys, "generate --out data --count 170")
    assert (status, grown["rendered"], grown["manifest"]["version"]) == (0, 50, 2), "the short last shard again, whole"
    spec = read_manifest(open_store("data")).run
    assert (spec.seed, spec.shard_size, spec.batch) == (5, 40, 16)
    assert main(shlex.split("generate --out data --count 200 --seed 6")) == 2
    assert "seed was 5 and is now 6" in capsys.readouterr().err


def test_growth_needs_something_that_grows(capsys):
    assert main(shlex.split("generate --out nowhere --count 10")) == 2
    assert "--generator: needed, since no data set is at" in capsys.readouterr().err
    assert not Path("nowhere").exists()


def test_show(data_set: Path, capsys):
    assert main(["show", "data"]) == 0
    out = capsys.readouterr().out
    assert "130 poses in 4 shards" in out and "seed 5" in out and "CPU-seconds a million" in out
    _, shown = run(capsys, "show data")
    assert {"count", "shards", "schema", "generator", "seed", "manifest"} <= set(shown)


def test_damage_is_found_mended_and_proven(data_set: Path, capsys):
    before = files(data_set)
    assert run(capsys, "verify data --regenerate 2") == (
        0, {"count": 130, "shards": 4, "regenerated": 2, "problems": []},
    )  # fmt: skip
    shard = next(Path("data/shards").glob("00000001-*"))
    shard.write_bytes(b"other")
    assert main(["verify", "data"]) == 1
    out = capsys.readouterr().out
    assert f"shards/{shard.name}: other bytes than were committed" in out and "flexpose repair" in out
    _, found = run(capsys, "repair data --dry-run")
    assert [problem["shard"] for problem in found["problems"]] == [1] and shard.read_bytes() == b"other"
    assert run(capsys, "repair data") == (0, {"shards": 1, "commits": 0, "left": []})
    assert files(data_set) == before
    assert run(capsys, "verify data")[0] == 0


def test_a_damaged_model_is_found_and_put_back_by_its_generator(data_set: Path, capsys):
    before = files(data_set)
    next(Path("data/model").glob("*.safetensors")).unlink()
    assert main(["verify", "data", "--regenerate", "1"]) == 1
    assert "repeat `flexpose generate` with the --generator" in capsys.readouterr().out
    status, made = run(capsys, f"generate --generator generator --count 130 --seed 5 --out data {SMALL}")
    assert (status, made["rendered"]) == (0, 0)
    assert files(data_set) == before


def test_gc_removes_what_nothing_names(data_set: Path, capsys):
    before = files(data_set)
    stray = Path("data/shards/00000000-0123456789abcdef.parquet")
    stray.write_bytes(b"put, never committed")
    _, found = run(capsys, "gc data --dry-run")
    assert found == {"removed": 0, "keys": [f"shards/{stray.name}"]} and stray.exists()
    assert run(capsys, "gc data")[1]["removed"] == 1
    assert files(data_set) == before
