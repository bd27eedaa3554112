"""What starting costs: CPU seconds of a child process, the least of several, since other work only adds to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flexpose_ray.cli import main
from tests.small_flow import save_flow

FLEXPOSE = Path(sys.executable).with_name("flexpose")
TRIES = 5
HELP_S, SHOW_S = 0.2, 1.0
FIRST_POSE_S = 0.5  # beyond torch
ACTOR_S, OURS_S = 1.5, 0.5  # beyond what Ray itself costs; beyond Ray and torch


def cpu_seconds(*command: str | Path) -> float:
    def once() -> float:
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)  # or Popen waits for it again
        assert child.returncode == 0
        return usage.ru_utime + usage.ru_stime

    return min(once() for _ in range(TRIES))


def cpu_of_import(modules: str) -> float:
    return cpu_seconds(sys.executable, "-c", f"import {modules}")


@pytest.mark.bench
def test_help():
    found = cpu_seconds(FLEXPOSE, "--help")
    print(f"\nflexpose --help: {found:.2f} s of CPU")
    assert found < HELP_S


@pytest.mark.bench
def test_show(ray_cluster, tmp_path):
    data = str(tmp_path / "data")
    assert main(["generate", "--generator", "builtin:coco-adversarial", "--count", "64", "--out", data]) == 0
    found = cpu_seconds(FLEXPOSE, "show", data)
    print(f"\nflexpose show: {found:.2f} s of CPU")
    assert found < SHOW_S


@pytest.mark.bench
def test_first_pose(tmp_path):
    use = "import sys, flexpose_ray; flexpose_ray.load(sys.argv[1]).sample(1)"
    save_flow(str(tmp_path), student=(256, 512, 3))
    found, torch = cpu_seconds(sys.executable, "-c", use, tmp_path), cpu_of_import("torch")
    print(f"\nfirst pose of a flow: {found:.2f} s of CPU; torch alone {torch:.2f}")
    assert found - torch < FIRST_POSE_S


@pytest.mark.bench
def test_sampler_actor():
    ray, torch, actor = (cpu_of_import(m) for m in ("ray", "ray, torch", "flexpose_ray.engine.generate.stages"))
    print(f"\nimports of a sampler actor: {actor:.2f} s of CPU; Ray alone {ray:.2f}, Ray and torch {torch:.2f}")
    assert actor - torch < OURS_S
    assert actor - ray < ACTOR_S
