"""What workers exchange: averages and rows; and that a step runs for every kind of skeleton image."""

import math

import numpy as np
import pytest
import torch

from flexpose_ray.config import Recipe, parse
from flexpose_ray.engine.train import trainer as engine
from flexpose_ray.engine.train.job import TrainingJob
from flexpose_ray.engine.train.judge import Judge
from flexpose_ray.networks.beta import Beta
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import get_skeleton


def test_averaging_is_one_all_reduce_that_keeps_shapes_and_layouts(monkeypatch):
    calls = []

    class Travelling:
        def __init__(self, flat, async_op):
            assert async_op
            calls.append(len(flat))
            self.flat = flat

        def wait(self):
            self.flat += 10 * torch.arange(len(self.flat))  # what another worker holds more

    monkeypatch.setattr(engine.dist, "all_reduce", Travelling)
    tensors = [torch.zeros(()), torch.zeros(2, 3, 2, 2).to(memory_format=torch.channels_last), torch.zeros(4)]
    finish = engine.average(tensors, 2)
    assert all(t.eq(0).all() for t in tensors), "not there yet"
    finish()
    assert calls == [1 + 24 + 4]
    assert tensors[0] == 0
    torch.testing.assert_close(tensors[1], 5 * torch.arange(1.0, 25).view(2, 3, 2, 2))
    assert tensors[1].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(tensors[2], 5 * torch.arange(25.0, 29))


def test_gathering_keeps_the_workers_order(monkeypatch):
    def all_gather(parts, rows):
        for rank, part in enumerate(parts):
            part.copy_(rows + 10 * rank)

    monkeypatch.setattr(engine.dist, "all_gather", all_gather)
    rows = torch.arange(6.0).view(2, 3).T
    torch.testing.assert_close(engine.gather(rows, 2), torch.cat([rows, rows + 10]))


@pytest.fixture
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def recipe(skeleton: str, size: int, channels: int) -> Recipe:
    pretrain = {
        "kind": "stylegan", "teacher": "none",
        "alpha": {"size": size, "channels": channels},
        "network": {"z_size": 16, "w_size": 16, "depth": 2, "base": 256, "most": 8},
        "batch": 4, "bf16": False, "pose_from_kimg": 0, "eval_samples": 64,
    }  # fmt: skip
    return parse(Recipe, {"name": "tiny", "source": "poses:x", "skeleton": skeleton, "pretrain": pretrain}, "test")


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(
    ("skeleton", "size", "channels"),
    [("body_15", 32, 1), ("body_15", 64, 3), ("face_68", 32, 1), ("face_68", 64, 3), ("body_15", 128, 3),
     ("face_68", 256, 1)],
)  # fmt: skip
def test_a_step_runs_for_bodies_and_faces_of_every_size_and_colour(skeleton, size, channels):
    r, n = recipe(skeleton, size, channels), get_skeleton(skeleton).n_joints
    poses = PoseSet(np.random.default_rng(0).uniform(0.1, 0.9, (40, n, 2)).astype(np.float32), skeleton)
    job, beta = TrainingJob.of(r, poses, torch.device("cpu")), Beta(n, channels, width=4)
    trainer = engine.gan_trainer(job, beta)
    losses = trainer.step()
    assert {"d_loss", "g_loss", "r1", "pose"} <= set(losses)
    assert all(math.isfinite(value) for value in losses.values())
    assert trainer.finite()
    if size == 32:
        judge = Judge(job.train, job.held, r)
        networks = engine.trained_networks(trainer, r, judge.source, beta)
        assert all(math.isfinite(v) for v in judge.scores(networks.sampler()).values())
        assert judge.grid(networks).shape == (6 * size, 12 * size, 3)
