"""What starting costs: CPU seconds of a child process, the least of several, since other work only adds to it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from flexpose_ray.cli import main

FLEXPOSE = Path(sys.executable).with_name("flexpose")
TRIES = 5
HELP_S, SHOW_S = 0.2, 1.0
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
def test_sampler_actor():
    ray, torch, actor = (cpu_of_import(m) for m in ("ray", "ray, torch", "flexpose_ray.engine.generate.stages"))
    print(f"\nimports of a sampler actor: {actor:.2f} s of CPU; Ray alone {ray:.2f}, Ray and torch {torch:.2f}")
    assert actor - torch < OURS_S
    assert actor - ray < ACTOR_S
