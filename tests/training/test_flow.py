"""A flow's training: drawn by the step's number, shared by any number of workers, resumed bit for bit."""

import numpy as np
import pytest
import torch

from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.networks.pose_flow import PoseFlow, joint_means
from flexpose_ray.pose.geometry import with_mirrored
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.training.flow import FlowTrainer, PoseFlowSettings, _rate
from flexpose_ray.training.settings import SINGLE, RealPoses, Worker
from tests.training.workers import train_together

POSES_NJ2 = sample_synthetic("rowing?count=300").keypoints_NJ2
MEANS = joint_means(POSES_NJ2, BODY_15)
SMALL = {"steps": 6, "batch": 32, "student_steps": 6, "student_batch": 32, "pairs": 96}


def trainer(worker: Worker = SINGLE, weights_N=None, **settings) -> FlowTrainer:
    torch.manual_seed(0)
    flow = PoseFlow("body_15", MEANS, 16, 32, 1, (16, 32, 1))
    flow.fit_scale(with_mirrored(POSES_NJ2, BODY_15))
    return FlowTrainer(flow, RealPoses(POSES_NJ2, weights_N), PoseFlowSettings(**{**SMALL, **settings}), worker)


def as_written(tensors):
    return {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}


def assert_same_state(one, other):
    (tensors, numbers), (others, other_numbers) = one.state(), other.state()
    assert numbers == other_numbers
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


@pytest.mark.slow
def test_field_and_student_learn_the_source():
    torch.manual_seed(0)
    flow = PoseFlow("body_15", MEANS, 64, 128, 2, (64, 128, 2))
    both_NJ2 = with_mirrored(POSES_NJ2, BODY_15)
    flow.fit_scale(both_NJ2)
    settings = PoseFlowSettings(steps=600, batch=128, student_steps=600, student_batch=256, pairs=8192)
    t = FlowTrainer(flow, RealPoses(POSES_NJ2), settings)
    z_NZ = torch.randn(1000, flow.z_size, generator=torch.Generator().manual_seed(1))
    untrained = frechet_distance(t.averaged(z_NZ)[0].numpy(), both_NJ2)
    for _ in range(1200):
        t.step()
    with torch.inference_mode():
        followed_NJ2 = t.averaged.poses(t.averaged.solve(z_NZ)).numpy()
        poses_NJ2, confidence_NJ = (part.numpy() for part in t.averaged(z_NZ))
    assert frechet_distance(followed_NJ2, both_NJ2) < 0.05 * untrained
    assert frechet_distance(poses_NJ2, both_NJ2) < 0.05 * untrained
    error_NJ = np.linalg.norm(poses_NJ2 - followed_NJ2, axis=2)
    assert np.corrcoef(error_NJ.mean(1), confidence_NJ.mean(1))[0, 1] < -0.2  # low where the student is wrong


def test_a_step_reports_its_stage_and_the_counts_follow():
    t = trainer()
    rows = [t.step() for _ in range(12)]
    assert [set(row) for row in rows] == [{"velocity"}] * 6 + [{"student_px", "surprise"}] * 6
    assert (t.step_count, t.images_seen) == (12, 6 * 32 + 6 * 32)
    assert t.draws_in_one_step


def test_pairs_are_made_in_the_first_half_of_the_student_s_steps_and_lie_where_the_field_leads():
    t = trainer()
    counts = []
    for _ in range(12):
        t.step()
        counts.append(len(t.state()[0]["pairs"]))
    assert counts == [0] * 6 + [32, 64, 96, 96, 96, 96]
    with torch.inference_mode():
        wanted_PZ = t.averaged.solve(t._pair_noise(torch.arange(96)))
    torch.testing.assert_close(t.paired_PZ, wanted_PZ, rtol=1e-4, atol=1e-4)


def test_the_field_rests_while_the_student_learns_and_the_student_while_the_field_does():
    t = trainer()
    start = {name: p.clone() for name, p in t.flow.named_parameters()}
    for _ in range(6):
        t.step()
    assert all(torch.equal(p, start[name]) for name, p in t.flow.student.named_parameters(prefix="student"))
    t.step()
    field = {name: p.clone() for name, p in t.flow.field.named_parameters()}
    for _ in range(3):
        t.step()
    assert all(torch.equal(p, field[name]) for name, p in t.flow.field.named_parameters())
    assert all(torch.equal(p, field[name]) for name, p in t.averaged.field.named_parameters())


@pytest.mark.parametrize("stop", [3, 6, 8])
def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(stop):
    undisturbed, killed, resumed = (trainer() for _ in range(3))
    losses = [undisturbed.step() for _ in range(12)]
    before = [killed.step() for _ in range(stop)]
    tensors, numbers = killed.state()
    resumed.load_state(as_written(tensors), numbers)
    assert_same_state(resumed, killed)
    assert before + [resumed.step() for _ in range(12 - stop)] == losses
    assert_same_state(resumed, undisturbed)


def test_two_workers_train_what_one_trains():
    alone, (single,) = train_together(trainer, 1, 12)
    together, (first, second) = train_together(trainer, 2, 12)
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-3)
    assert_same_state(first, second)
    for mine, theirs in zip(single.averaged.parameters(), first.averaged.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-2)


def test_weights_decide_how_often_a_pose_is_drawn():
    only = np.zeros(300)
    only[7] = 1.0
    t, z_NZ = trainer(weights_N=only), trainer().x_NZ[[7, 307]]
    seen = []
    t.flow.velocity = lambda x_NZ, t_N1: seen.append(x_NZ) or torch.zeros_like(x_NZ, requires_grad=True) * 1
    t._update = lambda *_: None
    t._field_step()
    late_NZ = seen[0][-1:]  # drawn at a time near 1, where it is nearly a pose
    assert torch.cdist(late_NZ, z_NZ).min() < torch.cdist(late_NZ, t.x_NZ).median()


def test_the_same_seed_trains_the_same_and_another_one_another():
    one, again, other = trainer(), trainer(), trainer(seed=1)
    reports = [[t.step() for _ in range(8)] for t in (one, again, other)]
    assert reports[0] == reports[1] != reports[2]


def test_the_rate_rises_then_falls_to_nothing():
    rates = [_rate(step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(0.01) and max(rates) == rates[99] and rates[1000] == pytest.approx(0)


def test_bfloat16_trains_close_to_float32():
    full, half = trainer(), trainer(bf16=True)
    for _ in range(8):
        reports = full.step(), half.step()
    assert reports[1] == pytest.approx(reports[0], rel=0.1)


def test_weights_that_are_not_finite_are_noticed():
    t = trainer()
    assert t.finite()
    t.flow.student.enter.weight.data[0, 0] = float("nan")
    assert not t.finite()
