"""``--kind`` and ``--paper``: one option takes every verb to the other kind of generator, or to the paper's own way."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from flexpose_ray.cli import main
from flexpose_ray.config import load_recipe, pretrain_key
from tests.small_flow import save_flow


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch, tiny_generator: str):
    """``flow`` is a flow, ``stylegan`` a StyleGAN."""
    monkeypatch.chdir(tmp_path)
    save_flow("flow")
    (tmp_path / "stylegan").symlink_to(tiny_generator)


def done(capsys, command: str) -> dict:
    assert main([*shlex.split(command), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refusal(capsys, command: str) -> str:
    assert main(shlex.split(command)) == 2
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1
    return err


SHOTS = "--shots 'synthetic:rowing?count=6' --dry-run"


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ("", {}),
        ("--kind flow", {}),
        ("--kind stylegan", {"kind": "stylegan"}),
        ("--paper", {"kind": "stylegan", "teacher": "none"}),
    ],
)
def test_a_training_of_the_other_kind_is_one_option_away(capsys, options: str, changes: dict):
    name, small = "quickstart", "--set source=synthetic:rowing?count=300 --set generator=null"
    keys = ("alpha.size=16", "network.base=64", "network.most=8", "beta.width=4", "batch=4", "threads=1")
    sizes = " ".join(f"--set pretrain.{key}" for key in keys)
    found = done(capsys, f"pretrain {name} {small} {sizes} --dry-run {options}")
    sets = [f"pretrain.{key}={value}" for key, value in changes.items()]
    given = [option for option in shlex.split(f"{small} {sizes}") if option != "--set"]
    assert found["run"] == pretrain_key(load_recipe(name, [*given, *sets]))
    assert ("teacher" in found) == (changes == {"kind": "stylegan"})


@pytest.mark.parametrize(
    ("options", "generator"),
    [
        ("builtin:coco", "builtin:coco "),
        ("builtin:coco --kind stylegan", "builtin:coco-stylegan "),
        ("builtin:coco --paper", "builtin:coco-adversarial "),
        ("builtin:coco --paper --kind stylegan", "builtin:coco-stylegan "),
        ("builtin:coco-stylegan --kind flow", "builtin:coco "),
        ("builtin:coco-adversarial --paper", "builtin:coco-adversarial "),
        ("flow --kind flow", "flow "),
        ("stylegan --paper", "stylegan "),
    ],
)
def test_adaptation_takes_the_generator_of_that_kind(capsys, options: str, generator: str):
    assert main(shlex.split(f"adapt --generator {options} --out adapted {SHOTS}")) == 0
    assert f"would adapt {generator}" in capsys.readouterr().out


def test_the_papers_way_is_its_literal_setting(capsys):
    settings = done(capsys, f"adapt --generator builtin:coco --paper --out adapted {SHOTS}")
    assert (settings["layers"], settings["bias"], settings["loss"]) == ([3], False, "perceptual")
    assert (settings["pairing"], settings["blend"]) == ("random", False)


def test_generation_takes_the_generator_of_that_kind(capsys, without_ray):
    made = done(capsys, "generate --generator builtin:coco --kind stylegan --count 3 --out images --gate off")
    assert made["count"] == 3
    spec = json.loads(Path("images/run.json").read_text())
    assert spec["shard_size"] == 1000 and "confidence" not in spec
    done(capsys, "generate --generator builtin:coco --count 3 --out poses --gate off")
    spec = json.loads(Path("poses/run.json").read_text())
    assert spec["shard_size"] == 10_000 and "exp(-e" in spec["confidence"]


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"adapt --generator flow --kind stylegan --out adapted {SHOTS}", "--kind stylegan: flow is of kind flow"),
        (f"adapt --generator stylegan --kind flow --out adapted {SHOTS}", "--kind flow: stylegan is of kind stylegan"),
        (f"adapt --generator flow --paper --out adapted {SHOTS}", "this generator is a flow"),
        (f"adapt --generator flow --layers 3 --out adapted {SHOTS}", "add --kind stylegan"),
        ("pretrain quickstart --paper --kind flow", "--paper: takes a StyleGAN, and --kind is flow"),
        ("pipeline quickstart --paper --kind flow", "--paper: takes a StyleGAN, and --kind is flow"),
        ("generate --generator flow --kind stylegan --count 3 --out data", "is of kind flow"),
    ],
)
def test_what_is_not_there_is_told(capsys, command: str, told: str):
    assert told in refusal(capsys, command)
