"""A generator taught by a flow: drawn by the step's number, shared by any number of workers, resumed bit for bit."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from flexpose_ray.errors import ConfigError
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.pose_flow import PoseFlow
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.training.settings import SINGLE
from flexpose_ray.training.taught import TaughtSettings, TaughtTrainer, _image_error, _rate
from tests.training.workers import train_together

POSES_NJ2 = np.random.default_rng(0).uniform(0.2, 0.8, (60, 15, 2)).astype(np.float32)
SMALL = {"size": 16, "z_size": 48, "w_size": 24, "base": 64, "most": 8, "pose_mapping": (16, 24, 1)}


def trainer(worker=SINGLE, **settings):
    torch.manual_seed(0)
    flow = PoseFlow("body_15", [[1, 3, 6], [2, 9, 12]], 8, 16, 1, (12, 16, 1))
    flow.fit_scale(POSES_NJ2)
    generator, beta = Generator.taught_by(flow, **SMALL), Beta(width=4)
    settings = TaughtSettings(**{"batch": 8, "kimg": 0.4, **settings})
    return TaughtTrainer(generator, beta, Alpha(size=16), settings, worker)


def as_written(tensors):
    """Tensors as they come back from a file: other memory, standard layout."""
    return {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}


def assert_same_state(one, other):
    (tensors, numbers), (others, other_numbers) = one.state(), other.state()
    assert numbers == other_numbers
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


def test_the_generator_learns_to_draw_the_flow_s_poses():
    t = trainer(kimg=0.4, lr=0.02)
    z = torch.randn(32, 48)
    wanted = t.alpha.draw(t.generator.mapping.poses(z))

    def error():
        with torch.inference_mode():
            return F.mse_loss(t.averaged(z), wanted).item()

    start, before = error(), {name: v.clone() for name, v in t.beta.state_dict().items()}
    reports = [t.step() for _ in range(t.settings.steps)]
    assert error() < 0.5 * start
    assert np.mean([r["image"] for r in reports[-10:]]) < 0.5 * reports[0]["image"]
    assert (t.step_count, t.images_seen) == (50, 400)
    assert all(torch.equal(v, before[name]) for name, v in t.beta.state_dict().items())


def test_a_step_reports_the_errors_of_images_and_joints():
    t = trainer()
    z = t._latents()
    with torch.no_grad():
        poses_NJ2 = t.generator.mapping.poses(z)
        images = t.generator(z)
        image = _image_error(images - t.alpha.draw(poses_NJ2)).item()
        joint = 64 * (t.beta(images)[0] - poses_NJ2).norm(dim=2).mean().item()
    assert t.step() == pytest.approx({"image": image, "joint_px": joint}, rel=1e-4)


def test_the_error_of_images_is_summed_over_four_scales():
    difference = torch.randn(2, 3, 16, 16)
    wanted = sum(F.interpolate(difference, size=(n, n), mode="area").square().mean().item() for n in (16, 8, 4, 2))
    assert _image_error(difference).item() == pytest.approx(wanted, rel=1e-5)
    assert _image_error(torch.full((1, 1, 8, 8), 0.5)).item() == pytest.approx(1.0)


def test_the_joints_term_reaches_the_generator_and_may_be_left_out():
    weights = {"image_weight": 0.0, "joint_weight": 1.0}
    with_joints, without = trainer(**weights), trainer(**weights | {"joint_weight": 0.0})
    for t, moves in ((with_joints, True), (without, False)):
        start = t.generator.start.detach().clone()
        t.step()
        assert torch.equal(t.generator.start, start) != moves


def test_the_teacher_never_changes():
    t = trainer(lr=0.1)
    before = {name: v.clone() for name, v in t.generator.mapping.teacher.state_dict().items()}
    for _ in range(3):
        t.step()
    for network in (t.generator, t.averaged):
        now = network.mapping.teacher.state_dict()
        assert all(torch.equal(v, before[name]) for name, v in now.items())


def test_the_rate_rises_and_falls_to_a_fiftieth():
    rates = [_rate(step, 1000) for step in range(1001)]
    assert rates[0] == pytest.approx(1 / 50)
    assert max(rates) == rates[49] > 0.99
    assert rates[500] == pytest.approx(0.51)
    assert rates[1000] == pytest.approx(0.02) == _rate(2000, 1000)
    assert TaughtSettings(kimg=1, batch=32).steps == 32 and TaughtSettings(kimg=0.001, batch=32).steps == 1


def test_the_average_follows_with_the_half_life():
    t = trainer(ema_kimg=0.016)  # 16 images: two steps
    t.step_count = 1000  # late enough that the half-life counts
    old = [p.clone() for p in t.averaged.parameters()]
    for p in t.generator.parameters():
        p.data += 1.0
    t._average()
    keep = 0.5**0.5
    for was, now, target in zip(old, t.averaged.parameters(), t.generator.parameters(), strict=True):
        torch.testing.assert_close(now, keep * was + (1 - keep) * target, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("stop", [1, 4])
def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(stop):
    undisturbed, killed, resumed = (trainer() for _ in range(3))
    losses = [undisturbed.step() for _ in range(6)]
    before = [killed.step() for _ in range(stop)]
    tensors, numbers = killed.state()
    resumed.load_state(as_written(tensors), numbers)
    assert_same_state(resumed, killed)
    assert before + [resumed.step() for _ in range(6 - stop)] == losses
    assert_same_state(resumed, undisturbed)


def test_the_same_seed_draws_the_same_and_another_one_another():
    one, again, other = trainer(), trainer(), trainer(seed=1)
    reports = [[t.step() for _ in range(3)] for t in (one, again, other)]
    assert reports[0] == reports[1] != reports[2]
    first = one._latents()
    one.step_count += 1
    assert not torch.equal(one._latents(), first)


def test_two_workers_train_what_one_trains():
    alone, (single,) = train_together(trainer, 1, 5)
    together, (first, second) = train_together(trainer, 2, 5)
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, rel=1e-3)
    assert_same_state(first, second)
    for mine, theirs in zip(single.generator.parameters(), first.generator.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(single.generator.mapping.w_mean, first.generator.mapping.w_mean, rtol=1e-3, atol=1e-4)


def test_bfloat16_trains_close_to_float32():
    full, half = trainer(), trainer(bf16=True)
    for _ in range(3):
        reports = full.step(), half.step()
    assert reports[1] == pytest.approx(reports[0], rel=0.05)
    assert {v.dtype for name, v in half.state()[0].items() if name.startswith("generator")} == {torch.float32}


def test_weights_that_are_not_finite_are_noticed():
    t = trainer()
    assert t.finite()
    t.generator.start.data[0, 0, 0, 0] = float("nan")
    assert not t.finite()


def test_a_generator_without_a_teacher_is_refused():
    with pytest.raises(ConfigError, match="no flow decides its poses"):
        TaughtTrainer(Generator(16, base=64, most=8), Beta(width=4), Alpha(size=16), TaughtSettings())
