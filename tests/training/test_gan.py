"""A training step: drawn by its number, shared by any number of workers, resumed bit for bit."""

import copy

import numpy as np
import pytest
import torch

from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.training.draw import Draw
from flexpose_ray.training.gan import GanTrainer
from flexpose_ray.training.losses import energy_distance
from flexpose_ray.training.settings import SINGLE, GanSettings, RealPoses, Worker
from tests.training.workers import train_together

POSES_NJ2 = np.random.default_rng(0).uniform(0.2, 0.8, (60, 15, 2)).astype(np.float32)

REGULARISERS = {"style_mixing": 0.9, "path_length": 2.0, "path_every": 3}


def trainer(worker=SINGLE, beta=None, **settings):
    torch.manual_seed(0)
    generator = Generator(16, z_size=16, w_size=16, depth=2, base=64, most=8)
    networks = generator, Discriminator(16, base=64, most=8)
    beta, settings = beta or Beta(width=4), GanSettings(**{"batch": 8, "r1_every": 4, **settings})
    return GanTrainer(*networks, Alpha(size=16), RealPoses(POSES_NJ2), settings, worker, beta)


def as_written(tensors):
    """Tensors as they come back from a file: other memory, standard layout."""
    return {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}


def assert_same_state(one, other):
    (tensors, numbers), (others, other_numbers) = one.state(), other.state()
    assert numbers == other_numbers
    assert tensors.keys() == others.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []


# ----- augmentation


def test_strength_is_steered_between_zero_and_its_most():
    leaning, neutral, off = trainer(augment_target=-2.0), trainer(augment_target=2.0), trainer(augment_target=None)
    for _ in range(3):
        reports = [t.step() for t in (leaning, neutral, off)]
    assert leaning.strength == reports[0]["augment"] == pytest.approx(3 * 8 / 500_000)
    assert neutral.strength == reports[1]["augment"] == 0
    assert off.strength == 0
    assert "augment" not in reports[2]
    leaning.strength = 0.8
    leaning.step()
    assert leaning.strength == 0.8


def test_strength_follows_the_logits_of_all_workers():
    def others_lean_away(tensors):
        for t in tensors:
            if t.ndim == 0:
                t.fill_(-1.0)
        return lambda: None

    alone, together = trainer(augment_target=0.0), trainer(Worker(reduce=others_lean_away), augment_target=0.0)
    for t, way in ((alone, 1), (together, -1)):
        t.discriminator.logit.bias.data.fill_(9.0)  # our own images all look real
        t.strength = 0.5
        t.step()
        assert t.strength == pytest.approx(0.5 + way * 8 / 500_000, abs=1e-9)


# ----- one step


def test_a_step_moves_both_networks_and_reports_losses():
    t = trainer()
    before = {name: v.clone() for name, v in t.state()[0].items()}
    report = t.step()
    assert {"g_loss", "d_loss", "real", "fake", "r1", "augment"} == set(report)
    assert all(np.isfinite(v) for v in report.values())
    moved = {name.partition(".")[0] for name, v in before.items() if not torch.equal(v, t.state()[0][name])}
    assert {"generator", "discriminator", "averaged"} <= moved
    assert (t.step_count, t.images_seen) == (1, 8)
    assert all(p.requires_grad for p in t.discriminator.parameters())


def test_the_penalty_comes_every_few_steps_and_is_the_gradient_s_square():
    t = trainer(r1_every=3)
    assert [i for i in range(7) if "r1" in t.step()] == [0, 3, 6]
    t, draw = trainer(augment_target=None), Draw.of_step(0, 0, 8, 60, 16)
    t._update = lambda loss, network, optimizer, *means: lambda: None  # the penalty of the start, before anything moves
    real = t.alpha.draw(t.real_poses(draw.rows_N, draw.mirror_N))
    found = t.step()["r1"]
    real.requires_grad_()
    (gradient,) = torch.autograd.grad(t.discriminator(real).sum(), real)
    assert found == pytest.approx(gradient.square().sum().item() / 8, rel=1e-4)


@pytest.mark.slow
def test_a_larger_penalty_keeps_the_discriminator_flatter():
    flat, steep = trainer(r1_gamma=50.0, lr=0.01), trainer(r1_gamma=0.0, lr=0.01)
    for t in (flat, steep):
        for _ in range(25):
            t.step()
    real = flat.alpha.draw(flat.poses_NJ2[:16])
    assert flat._r1_step(real)[0] < 0.2 * steep._r1_step(real)[0]


def test_the_discriminator_s_optimizer_makes_up_for_the_lazy_steps():
    t = trainer(lr=0.01, r1_every=4)
    group = t.d_optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.008)
    assert group["betas"] == pytest.approx((0, 0.99**0.8))
    assert t.g_optimizer.param_groups[0]["lr"] == 0.01


def test_the_average_follows_the_generator_with_the_half_life():
    t = trainer(ema_kimg=0.016)  # 16 images: two steps
    t.step_count = 1000  # late enough that the half-life counts
    old = [p.clone() for p in t.averaged.parameters()]
    for p in t.generator.parameters():
        p.data += 1.0
    t._average()
    keep = 0.5**0.5
    for was, now, target in zip(old, t.averaged.parameters(), t.generator.parameters(), strict=True):
        torch.testing.assert_close(now, keep * was + (1 - keep) * target, rtol=1e-5, atol=1e-5)


def test_the_average_forgets_the_start_and_needs_no_gradient():
    t = trainer(ema_kimg=1000.0)
    start = {name: v.clone() for name, v in t.averaged.state_dict().items()}
    for _ in range(5):
        t.step()
    for name, v in t.averaged.state_dict().items():
        if start[name].numel() > 1:
            gap = (v - t.generator.state_dict()[name]).norm()
            assert gap < (start[name] - t.generator.state_dict()[name]).norm()
    assert not any(p.requires_grad for p in t.averaged.parameters())
    assert torch.equal(t.averaged.mapping.w_mean, t.generator.mapping.w_mean)
    assert t.generator.mapping.w_mean.abs().sum() > 0


def test_the_discriminator_learns_to_tell_images_of_a_generator_that_stands_still():
    t = trainer(batch=16, augment_target=None, r1_gamma=1.0, lr=0.01)
    t._generator_step = lambda draw, augments, end_discriminator: end_discriminator() or {}
    losses = [t.step()["d_loss"] for _ in range(30)]
    assert np.mean(losses[-5:]) < 0.6 * losses[0]


def test_the_generator_learns_to_fool_a_discriminator_that_stands_still():
    t = trainer(batch=16, augment_target=None, lr=0.01)
    t._discriminator_step = lambda draw, real, augments: ({}, lambda: None)
    losses = [t.step()["g_loss"] for _ in range(20)]
    assert np.mean(losses[-5:]) < 0.6 * losses[0]


def test_the_pose_term_begins_when_the_settings_say_and_may_be_left_out():
    t = trainer(pose_from_kimg=0.016)
    assert ["pose" in t.step() for _ in range(4)] == [False, False, True, True]
    assert "pose" not in trainer(pose_weight=0, pose_from_kimg=0).step()


def test_the_pose_term_brings_poses_closer_and_leaves_beta_as_it_is():
    t = trainer(pose_from_kimg=0, pose_weight=100.0, lr=0.01, batch=16, augment_target=None)
    t._discriminator_step = lambda draw, real, augments: ({}, lambda: None)
    z, wanted = torch.randn(64, 16), torch.as_tensor(POSES_NJ2)
    before = {name: v.clone() for name, v in t.beta.state_dict().items()}

    def distance():
        with torch.no_grad():
            return energy_distance(t.beta(t.generator(z))[0], wanted).item()

    start = distance()
    for _ in range(25):
        t.step()
    assert distance() < 0.7 * start
    assert all(torch.equal(v, before[name]) for name, v in t.beta.state_dict().items())
    assert not any(name.startswith("beta") for name in t.state()[0])


def test_regularisers_are_off_by_default_and_come_when_the_settings_say():
    t = trainer()
    assert "path_mean" not in t.state()[1] and "path" not in t.step()
    t = trainer(path_length=2.0, path_every=3)
    assert [i for i in range(7) if "path" in t.step()] == [0, 3, 6]
    assert t.state()[1]["path_mean"] == t.paths.mean > 0
    assert t.g_optimizer.param_groups[0]["lr"] == pytest.approx(0.002 * 3 / 4)


def test_both_networks_see_mixed_images():
    plain, mixed = trainer(), trainer(style_mixing=1.0)
    for part, z_NZ in enumerate(np.random.default_rng(0).standard_normal((2, 8, 16)).astype(np.float32)):
        (w, image), (same, other) = (t._generated(z_NZ, part) for t in (plain, mixed))
        assert torch.equal(w, same)
        assert (image - other).flatten(1).abs().amax(1).min() > 1e-3
    assert plain.step() != mixed.step()


# ----- resuming and workers


@pytest.mark.parametrize(("stop", "settings"), [(1, {}), (4, {}), (7, {}), (4, REGULARISERS)])
def test_a_resumed_training_is_the_undisturbed_one_bit_for_bit(stop, settings):
    undisturbed, killed, resumed = (trainer(pose_from_kimg=0.04, **settings) for _ in range(3))
    losses = [undisturbed.step() for _ in range(9)]
    before = [killed.step() for _ in range(stop)]
    tensors, numbers = killed.state()
    resumed.load_state(as_written(tensors), numbers)
    assert_same_state(resumed, killed)
    assert before + [resumed.step() for _ in range(9 - stop)] == losses
    assert_same_state(resumed, undisturbed)


def test_beta_s_layout_in_memory_does_not_count():
    """It comes in one from its training and in another from a file."""
    torch.manual_seed(1)
    fresh = Beta(width=4)
    stored = copy.deepcopy(fresh).to(memory_format=torch.channels_last)
    one, other = (trainer(beta=beta, pose_from_kimg=0) for beta in (fresh, stored))
    assert [one.step() for _ in range(3)] == [other.step() for _ in range(3)]
    assert_same_state(one, other)


def test_a_state_is_loaded_in_place_of_whatever_was_trained_before():
    one, other = trainer(), trainer()
    for _ in range(2):
        one.step()
    for _ in range(5):
        other.step()
    tensors, numbers = one.state()
    other.load_state(as_written(tensors), numbers)
    assert one.step() == other.step()


def test_the_same_seed_trains_the_same_and_another_one_another():
    one, again, other = trainer(), trainer(), trainer(seed=1)
    reports = [[t.step() for _ in range(3)] for t in (one, again, other)]
    assert reports[0] == reports[1] != reports[2]


@pytest.mark.slow
@pytest.mark.parametrize(("pose_from_kimg", "more"), [(0.032, {}), (80, {}), (80, REGULARISERS)])
def test_two_workers_train_what_one_trains(pose_from_kimg, more):
    settings = {"batch": 16, "r1_every": 2, "augment_target": 0.0, "pose_from_kimg": pose_from_kimg, **more}

    def make(worker):
        return trainer(worker, **settings)

    alone, (single,) = train_together(make, 1, 6)
    together, (first, second) = train_together(make, 2, 6)
    for step, (one, two) in enumerate(zip(alone, together, strict=True)):
        assert two == pytest.approx(one, rel=1e-3, abs=1e-3)
        assert ("pose" in one) == (step * 0.016 >= pose_from_kimg)
    assert_same_state(first, second)
    for mine, theirs in zip(single.generator.parameters(), first.generator.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(single.generator.mapping.w_mean, first.generator.mapping.w_mean, rtol=1e-3, atol=1e-3)


def test_bfloat16_trains_close_to_float32():
    full, half = trainer(), trainer(bf16=True)
    for _ in range(3):
        reports = full.step(), half.step()
    assert reports[1] == pytest.approx(reports[0], abs=0.15)
    assert {v.dtype for name, v in half.state()[0].items() if name.startswith("generator")} == {torch.float32}


# ----- draws and weights


def test_mirrored_real_images_are_drawings_of_flipped_poses():
    t, rows = trainer(), np.array([4, 9, 4])
    images = t.alpha.draw(t.real_poses(rows, np.array([True, False, False])))
    flipped = t.alpha.draw(torch.as_tensor(flip(POSES_NJ2[[4]], BODY_15)))
    plain = t.alpha.draw(torch.as_tensor(POSES_NJ2[[9, 4]]))
    torch.testing.assert_close(images, torch.cat([flipped, plain]), rtol=0, atol=1e-5)
    assert (images[0] - images[2]).abs().max() > 0.5


def test_a_trainer_draws_by_its_weights():
    t = trainer()
    t.weights_N = np.eye(60)[7]
    seen = []
    t._discriminator_step = lambda draw, real, augments: (seen.append(draw) or {}, lambda: None)
    t.step()
    assert set(seen[0].rows_N) == {7}


def test_weights_that_are_not_finite_are_noticed():
    t = trainer()
    assert t.finite()
    t.averaged.start.data[0, 0, 0, 0] = float("inf")
    assert not t.finite()
