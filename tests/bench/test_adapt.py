"""How long one adaptation takes until its samples are as good as they get: 26 shots of Penn Action.

Seconds are those that processors worked, by the number of cores, so that a busy machine does not count; wall time is
printed beside them. FD is noisy: another seed moves it by a tenth.
"""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch

from flexpose_ray.config import load_recipe
from flexpose_ray.engine.runtime.memory import keep_memory
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.methods.flexpose import FlexPoseSettings, adapt
from flexpose_ray.models.generators import load_generator
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.networks.transfer import Transfer
from flexpose_ray.sources.read import read_source

CORES, EVERY, POSES = 2, 25, 3000
NEAR, MOST_S = 0.05, 60


def penn() -> tuple[np.ndarray, np.ndarray]:
    """Shots and held-out poses as the shipped recipe takes them."""
    target = load_recipe("coco_to_penn").target
    poses, _ = read_source(os.path.expandvars(target.poses), target.mapping)
    rest, held = poses.take(~np.isin(poses.label_N, target.exclude)).split(target.held_out, target.seed)
    return rest.pick_shots(target.shots_per_label, target.seed).keypoints_NJ2, held.keypoints_NJ2[:: len(held) // POSES]


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_seconds_until_near_the_final_fd(monkeypatch):
    if "FLEXPOSE_DATA" not in os.environ:
        pytest.skip("no FLEXPOSE_DATA: the folder with Penn Action's annotations")
    shots_NJ2, held_NJ2 = penn()
    assert len(shots_NJ2) == 26
    base, made, curve = load_generator("builtin:coco-adversarial"), [], []
    for_generator = Transfer.for_generator
    monkeypatch.setattr(Transfer, "for_generator", lambda *args: made.append(for_generator(*args)) or made[-1])
    threads = torch.get_num_threads()
    torch.set_num_threads(CORES)
    keep_memory()

    def clock() -> np.ndarray:
        return np.array([time.process_time() / CORES, time.perf_counter()])

    def note(row: dict) -> None:
        nonlocal spent, since
        spent, since = spent + clock() - since, clock()
        if row["step"] % EVERY == 0:
            sampler = StyleGanSampler(base.generator, base.beta, base.alpha, made[0].eval())
            curve.append((row["step"], *spent, frechet_distance(sampler.sample(1, np.arange(POSES))[0], held_NJ2)))
            made[0].train().requires_grad_(True)
            since = clock()

    spent, since = np.zeros(2), clock()
    adapt(base, shots_NJ2, FlexPoseSettings(layers="w", blend=False), note)
    torch.set_num_threads(threads)
    final = curve[-1][-1]
    print("\nsteps  seconds of 2 cores  wall seconds  FD")
    print("\n".join(f"{step:5d}  {busy:18.1f}  {wall:12.1f}  {fd:.4f}" for step, busy, wall, fd in curve))
    far = [k for k, (*_, fd) in enumerate(curve) if fd > final * (1 + NEAR)]
    step, busy, wall, _ = curve[far[-1] + 1 if far else 0]
    print(f"within {NEAR:.0%} of the final FD from step {step} on: {busy:.0f} s of {CORES} cores, {wall:.0f} s wall")
    assert busy <= MOST_S
