"""Training: our step against a plain StyleGAN2's, Ray Train against a bare loop, two workers against one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch

from flexpose_ray.config import Recipe, parse
from flexpose_ray.engine.runtime.memory import KEEP_ENV, keep_memory
from flexpose_ray.engine.runtime.session import ray_session
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.engine.train.run import pretrain, read_recipe_source
from flexpose_ray.engine.train.trainer import gan_trainer
from flexpose_ray.engine.train.worker import Meter
from flexpose_ray.networks.beta import Beta
from tests.bench.stylegan2 import Training

PAIRS, ROWS, ROW_STEPS = 3, 3, 62  # rows as far apart as by default
EVERY = 16  # steps from one R1 to the next
CPU = torch.device("cpu")
PRETRAIN = {
    "beta": {"width": 4, "steps": 20, "batch": 16}, "eval_samples": 64, "augment_target": None, "pose_weight": 0,
    "report_kimg": ROW_STEPS * 0.032, "eval_kimg": 1000, "kimg": ROWS * ROW_STEPS * 0.032, "track": [],
}  # fmt: skip


def recipe(**changes) -> Recipe:
    run = {"name": "bench", "source": "synthetic:rowing?count=3000", "pretrain": PRETRAIN | changes}
    return parse(Recipe, run, "bench")


@pytest.fixture(autouse=True)
def _one_thread():
    keep_memory()  # as the workers' environment does
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trainer(r: Recipe):
    return gan_trainer(TrainingJob.of(r, read_recipe_source(r), CPU), Beta(width=4))


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("up", ["before", "transposed"])
@pytest.mark.parametrize("base", [1024, 2048])
def test_our_step_against_a_plain_stylegan2_step(base: int, up: str):
    """The same channels, batch and images; R1 averaged in. Theirs has its images drawn beforehand."""
    r = recipe(network={"base": base, "most": base // 8})
    ours, network = trainer(r), r.pretrain.network.model_dump()
    batch = r.pretrain.batch
    theirs = Training(ours.alpha.draw(ours.poses_NJ2[:batch]), **network, up=up)

    def our_step(penalty: bool) -> None:
        ours.step_count = 0 if penalty else 1
        ours.step()

    times: dict[tuple, list[float]] = {}
    for pair in range(6):
        for penalty in (True, False):
            for step in (our_step, theirs.step):
                spent = seconds(lambda step=step, penalty=penalty: step(penalty))
                if pair:  # the first warms up
                    times.setdefault((step, penalty), []).append(spent)
    mean = {
        step: np.array(times[step, False]) * (1 - 1 / EVERY) + np.array(times[step, True]) / EVERY
        for step in (our_step, theirs.step)
    }
    found = median(mean[theirs.step] / mean[our_step])
    rates = [batch / median(mean[step]) for step in (our_step, theirs.step)]
    what = f"a plain StyleGAN2 step, base {base}, upsampling {up}"
    print(f"\nstep: {found:.2f} times {what} ({rates[0]:.0f} against {rates[1]:.0f} images/s)")
    assert found > 2.5


def under_ray(storage: str, **changes) -> float:
    """kimg/s of the rows of a run, but for the first, in which memory is taken."""
    history = pretrain(recipe(threads=1, **changes), storage)["history"]
    return median(row["kimg_s"] for row in history[1:])


def bare_loop() -> float:
    """kimg/s of the same steps and reports without Ray; in a process of its own with the workers' environment."""
    torch.set_num_threads(1)
    bare, rates = trainer(recipe()), []
    meter = Meter(bare)
    for _ in range(ROWS):
        for _ in range(ROW_STEPS):
            meter.add(bare.step())
        rates.append(meter.row(100)["kimg_s"])
        meter.restart()
    return median(rates[1:])


def ray_of_its_own(workers: int) -> float:
    """kimg/s of so many workers, of a batch of 64, under a Ray on the cores that this process may use."""
    with TemporaryDirectory() as storage, ray_session(cpus=workers):
        return under_ray(storage, workers=workers, batch=64)


def elsewhere(workers: int, cores: set[int]) -> float:
    """What :func:`ray_of_its_own` finds in a process that may use these cores alone; :func:`bare_loop` for none."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.test_train", str(workers)],
        env=os.environ | KEEP_ENV | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    return float(done.stdout.split()[-1])


@pytest.mark.bench
@pytest.mark.timeout(1800)
def test_ray_train_against_a_bare_loop(ray_cluster, tmp_path):
    ratios = []
    for pair in range(PAIRS):
        ray_rate = under_ray(str(tmp_path / str(pair)))
        ratios.append(ray_rate / elsewhere(0, os.sched_getaffinity(0)))
    print(f"\nRay Train: {median(ratios):.3f} times the images/s of a bare loop")
    assert median(ratios) > 0.97


@pytest.mark.bench
@pytest.mark.timeout(1800)
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="two workers want two cores")
def test_two_cores_against_one():
    """A worker and Ray on one core, two workers and Ray on two; and beside it a worker that leaves Ray a core.

    A worker's half of a batch of 64 takes a core as well as a whole batch of 32 does.
    """
    first, second, *_ = sorted(os.sched_getaffinity(0))
    ratios, spared = [], []
    for _ in range(PAIRS):
        one = elsewhere(1, {first})
        with_room, two = (elsewhere(n, {first, second}) for n in (1, 2))
        ratios.append(two / one)
        spared.append(two / with_room)
    print(
        f"\ntwo cores: {median(ratios):.2f} times one; {median(spared):.2f} times a worker with a second core for Ray"
    )
    assert median(ratios) > 1.7


if __name__ == "__main__":
    workers = int(sys.argv[1])
    print(ray_of_its_own(workers) if workers else bare_loop())
