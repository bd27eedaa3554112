"""All methods on tiny networks: each learns, says truly what it trained, and leaves the source alone."""

from __future__ import annotations

import copy
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from flexpose_ray.config import AdaptConfig
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.methods.adversarial import AdversarialSettings, HalfFrozen, ShotsTrainer, train
from flexpose_ray.methods.base import AdaptationTask, MethodResult, stored_bytes
from flexpose_ray.methods.flexpose import FlexPoseSettings
from flexpose_ray.methods.lora import LoraSettings, with_lora
from flexpose_ray.methods.registry import METHODS, OURS
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.moments import moments
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.training.settings import GanSettings, RealPoses

SOURCE = sample_synthetic("cycling?count=300").keypoints_NJ2
ROWERS = sample_synthetic("rowing?count=100").keypoints_NJ2
SHOTS, ALIGNED = ROWERS[:12], ROWERS[12:]
FEW = {"steps": 3, "batch": 8, "mixup": 40}
QUICK = {
    "flow": {"steps": 30, "tune_steps": 10, "width": 16, "depth": 1, "batch": 64, "mixup": 40, "euler": 4},
    "finetune": FEW,
    "freezed": FEW | {"frozen": 1},
    "adagan": FEW,
    "lora": FEW,
    "lora_4": FEW,
    "lora_convs": FEW,
} | dict.fromkeys(OURS, FEW)


@pytest.fixture
def task() -> AdaptationTask:
    torch.manual_seed(0)
    parts = Generator(16, base=64, most=16), Discriminator(16, base=64, most=16), Beta(width=4).eval()
    alpha = Alpha(size=16)
    return AdaptationTask(SOURCE, SHOTS, alpha.skeleton, Networks(*parts, alpha, moments(SOURCE)), ALIGNED)


def learn(task: AdaptationTask, name: str, losses: list | None = None, **changes) -> MethodResult:
    """The method by ``name``, in little; losses go to ``losses``."""
    settings = replace(METHODS[name].settings, **{**QUICK.get(name, {}), **changes})
    return METHODS[name].learn(task, settings, lambda row: losses is not None and losses.append(row["loss"]), "cpu")


def state(task: AdaptationTask) -> list[torch.Tensor]:
    networks = task.networks.generator, task.networks.discriminator, task.networks.beta
    return [tensor.clone() for network in networks for tensor in network.state_dict().values()]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_gives_poses_by_seed_and_leaves_the_networks_as_they_are(task: AdaptationTask, name: str):
    before = state(task)
    learned = learn(task, name)
    poses_NJ2 = learned.sample(20, 5)
    assert poses_NJ2.shape == (20, 15, 2) and poses_NJ2.dtype == np.float32 and np.isfinite(poses_NJ2).all()
    np.testing.assert_array_equal(poses_NJ2, learned.sample(20, 5))
    np.testing.assert_array_equal(poses_NJ2, learn(task, name).sample(20, 5))
    assert not np.array_equal(poses_NJ2, learned.sample(20, 6))
    assert all(torch.equal(a, b) for a, b in zip(before, state(task), strict=True))
    assert learned.size == stored_bytes(learned.tensors) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if "seed" in {f.name for f in fields(m.settings)}])
def test_another_seed_learns_something_else(task: AdaptationTask, name: str):
    one, other = (learn(task, name, seed=seed).sample(20, 5) for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", METHODS)
def test_no_method_looks_at_more_than_the_shots(task: AdaptationTask, name: str):
    blind = replace(task, aligned_NJ2=np.full_like(ALIGNED, np.nan))
    assert np.isfinite(learn(blind, name).sample(10, 0)).all() == (name != "aligned")


@pytest.mark.parametrize("name", [n for n, m in METHODS.items() if m.family == "generator"] + ["pose_mixup", "coral"])
def test_one_shot_is_too_few(task: AdaptationTask, name: str):
    with pytest.raises(DataError, match="at least two poses, found 1"):
        learn(replace(task, shots_NJ2=SHOTS[:1]), name)


# ----- what was trained


def numbers(tensors: dict[str, torch.Tensor]) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def test_parameters_are_what_was_trained(task: AdaptationTask):
    g = task.networks.generator
    all_of_it = sum(p.numel() for p in g.parameters())
    affines = [*g.affines, *g.output_affines]
    for name in ("finetune", "freezed"):
        assert learn(task, name).parameters == all_of_it
    for name, rank in (("lora", 1), ("lora_4", 4)):
        learned = learn(task, name)
        assert learned.parameters == numbers(learned.tensors) == rank * sum(sum(a.weight.shape) for a in affines)
    with_convs = learn(task, "lora_convs")
    kernels = [conv.weight.flatten(1) for conv in (*g.convs, *g.outputs)]
    more = sum(sum(kernel.shape) for kernel in kernels)
    assert with_convs.parameters == learn(task, "lora").parameters + more
    learned = learn(task, "adagan")
    features = sum(len(a.weight) for a in g.affines) + sum(len(conv.bias) for conv in g.convs)
    assert numbers(learned.tensors) == features
    assert learned.parameters == features + len(SHOTS) * g.z_size
    assert [learn(task, name).parameters for name in ("mean_shift", "diagonal", "coral")] == [30, 60, 930]
    flow = learn(task, "flow")
    assert numbers(flow.tensors) == flow.parameters + 2 * 30  # and mean and spread of the source


def test_what_a_low_rank_change_holds_makes_the_poses(task: AdaptationTask):
    """Stored tensors alone give the adapted generator back."""
    learned = learn(task, "lora", steps=3, lr=0.05)
    changed = copy.deepcopy(task.networks.generator)
    for kind in ("affines", "output_affines"):
        for i, affine in enumerate(getattr(changed, kind)):
            place = f"{kind}.{i}.parametrizations.weight.0"
            affine.weight.data += 4.0 * learned.tensors[f"{place}.up"] @ learned.tensors[f"{place}.down"]
    again = METHODS["unadapted"].learn(
        replace(task, networks=replace(task.networks, generator=changed)), None, print, "cpu"
    )
    np.testing.assert_allclose(again.sample(16, 0), learned.sample(16, 0), atol=1e-5)


def test_frozen_layers_do_not_move_and_the_others_do(task: AdaptationTask):
    judge = HalfFrozen(task.networks.discriminator, 1).train().requires_grad_(True)
    settings = GanSettings(batch=8, lr=0.01, r1_every=2, augment_target=None, pose_weight=0.0)
    generator = copy.deepcopy(task.networks.generator).requires_grad_(True)
    trainer = ShotsTrainer(generator, judge, task.networks.alpha, RealPoses(SHOTS), settings)
    for _ in range(3):
        trainer.step()
    old, moved = task.networks.discriminator.state_dict(), set()
    for name, tensor in judge.state_dict().items():
        if not torch.equal(tensor, old[name]):
            moved.add(name.rpartition(".")[0])
    assert not {name for name in moved if name.startswith(("enter", "blocks.0"))}
    assert {"blocks.1.first", "last", "hidden", "logit"} <= moved
    with pytest.raises(ConfigError, match="has 2"):
        HalfFrozen(task.networks.discriminator, 3)


def test_training_on_shots_makes_no_mirror_images(task: AdaptationTask):
    settings = GanSettings(batch=8, augment_target=None)
    parts = copy.deepcopy(task.networks.generator), task.networks.discriminator, task.networks.alpha
    trainer = ShotsTrainer(*parts, RealPoses(SHOTS), settings)
    rows = np.arange(4)
    np.testing.assert_array_equal(trainer.real_poses(rows, np.ones(4, bool)).numpy(), SHOTS[:4])


# ----- that it learns


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("adagan", {"steps": 40, "batch": 16}),
        ("adagan", {"steps": 40, "batch": 16, "mixup": 0, "perceptual": 0.0}),
        ("lora", {"steps": 40, "batch": 16, "loss": "perceptual", "lr": 0.02}),
        (
            "lora",
            {"steps": 40, "batch": 16, "loss": "perceptual", "pairing": "transport", "gamma": "pixels", "lr": 0.1},
        ),
        ("flow", {"steps": 200, "tune_steps": 0, "width": 64}),
    ],
)
def test_its_loss_falls(task: AdaptationTask, name: str, changes: dict):
    losses = []
    learn(task, name, losses, **changes)
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:3])


@pytest.mark.slow
@pytest.mark.parametrize("changed", ["all", "upper", "low-rank"])
def test_images_come_closer_to_the_shots(task: AdaptationTask, changed: str):
    """An untrained generator draws grey; against a discriminator it learns at least how dark the shots' images are."""
    settings = LoraSettings(steps=120, batch=8, ema_kimg=0.01, mixup=40, frozen=int(changed == "upper"))
    if changed == "low-rank":
        generator = with_lora(task.networks.generator, replace(settings, rank=4, convs=True, conv_scale=4.0))
    else:
        generator = copy.deepcopy(task.networks.generator).requires_grad_(True)
    z_NZ = torch.randn(64, generator.z_size, generator=torch.Generator().manual_seed(1))
    wanted = task.networks.alpha.draw(torch.as_tensor(SHOTS)).mean((0, 2, 3))
    averaged = train(generator, task, settings, lambda row: None, "cpu")
    with torch.no_grad():
        before, after = (g(z_NZ).mean((0, 2, 3)) for g in (task.networks.generator, averaged))
    assert (after - wanted).norm() < 0.7 * (before - wanted).norm()


def test_the_flow_follows_the_source_and_then_the_shots(task: AdaptationTask):
    gaps = {}
    for tune_steps in (0, 150):
        changes = {"steps": 300, "tune_steps": tune_steps, "tune_lr": 3e-3, "width": 64, "euler": 20}
        poses_NJ2 = learn(task, "flow", **changes).sample(300, 0)
        gaps[tune_steps] = [np.abs(poses_NJ2.mean(0) - wanted.mean(0)).mean() for wanted in (SOURCE, SHOTS)]
    assert gaps[0][0] < 0.5 * gaps[0][1]
    assert gaps[150][1] < 0.5 * gaps[0][1]


def test_a_smaller_spread_makes_samples_alike(task: AdaptationTask):
    spreads = [learn(task, "adagan", spread=spread).sample(50, 0).std(0).mean() for spread in (0.1, 1.0)]
    assert spreads[0] < 0.6 * spreads[1]


def test_diagonal_takes_mean_and_spread_of_every_coordinate(task: AdaptationTask):
    poses_NJ2 = learn(task, "diagonal").sample(len(SOURCE), 0)
    np.testing.assert_allclose(poses_NJ2.mean(0), SHOTS.mean(0), atol=1e-5)
    wanted_J2 = np.where(SOURCE.std(0) > 1e-5, SHOTS.std(0, ddof=1), 0)  # a cyclist's head is always at the top
    assert (wanted_J2 == 0).sum() == 1
    np.testing.assert_allclose(poses_NJ2.std(0, ddof=1), wanted_J2, atol=1e-5)


def test_noise_widens_mixup_by_the_estimated_covariance(task: AdaptationTask):
    (plain_NJ2, noisy_NJ2) = (learn(task, "mixup_noise", noise=n, shrink=0.0).sample(4000, 0) for n in (0.0, 1.0))
    np.testing.assert_array_equal(plain_NJ2, learn(task, "pose_mixup").sample(4000, 0))
    noise_ND = (noisy_NJ2 - plain_NJ2).reshape(4000, -1)
    wanted_DD = np.cov(SOURCE.reshape(len(SOURCE), -1), rowvar=False)
    assert np.abs(np.cov(noise_ND, rowvar=False) - wanted_DD).max() < 0.1 * wanted_DD.max()


def test_direct_is_the_source_and_the_shots(task: AdaptationTask):
    drawn = {pose.tobytes() for pose in learn(task, "direct").sample(len(SOURCE) + len(SHOTS), 0)}
    assert drawn == {pose.tobytes() for pose in (*SOURCE, *SHOTS)}


# ----- the registry


def test_the_papers_setting_is_one_and_the_default_another():
    assert METHODS["flexpose"].settings == FlexPoseSettings(**AdaptConfig.paper(mirror=None).model_dump())
    assert METHODS["flexpose_blend"].settings == FlexPoseSettings() == FlexPoseSettings(**AdaptConfig().model_dump())
    assert all(name.startswith("flexpose") for name in OURS)


def test_settings_of_rivals_are_the_same_where_they_share_them():
    shared = {field.name for field in fields(AdversarialSettings)} - {"frozen", "lr", "steps"}
    for name in ("freezed", "lora", "lora_4", "lora_convs"):
        for key in shared:
            assert getattr(METHODS[name].settings, key) == getattr(METHODS["finetune"].settings, key), (name, key)
    assert len({m.settings.mixup for m in METHODS.values() if hasattr(m.settings, "mixup")}) == 1
