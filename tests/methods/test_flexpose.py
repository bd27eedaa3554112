"""FlexPose on tiny networks: every loss learns, nothing but tau moves, bad settings are refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.methods.flexpose import FlexPoseSettings, adapt
from flexpose_ray.methods.pairs import PAIRINGS, pair_latents
from flexpose_ray.networks.beta import Beta
from flexpose_ray.networks.bundle import Networks
from flexpose_ray.networks.discriminator import Discriminator
from flexpose_ray.networks.generator import Generator
from flexpose_ray.networks.sampler import StyleGanSampler
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.latents import latents
from flexpose_ray.pose.moments import moments
from flexpose_ray.sources.formats.synthetic import sample_synthetic
from flexpose_ray.training.beta import beta_step

SOURCE = sample_synthetic("rowing?count=100").keypoints_NJ2
SHOTS = sample_synthetic("cycling?count=40").keypoints_NJ2[:12]
QUICK = FlexPoseSettings(layers="w", blend=False, steps=25, batch=32, mixup=60, lr=0.02)


@pytest.fixture(scope="module")
def trained():
    """State of networks whose beta has learned a little, so that its output follows the image."""
    torch.manual_seed(0)
    generator, discriminator, beta = Generator(16, base=64, most=16), Discriminator(16, base=64, most=16), Beta(width=4)
    optimizer, rng = torch.optim.AdamW(beta.parameters(), lr=0.01), torch.Generator().manual_seed(0)
    for _ in range(30):
        beta_step(beta, optimizer, torch.as_tensor(SOURCE[:32]), Alpha(size=16), rng)
    return [part.state_dict() for part in (generator, discriminator, beta)]


@pytest.fixture
def parts(trained) -> Networks:
    """Networks with the trained weights, new for every test."""
    networks = Generator(16, base=64, most=16), Discriminator(16, base=64, most=16), Beta(width=4)
    for part, state in zip(networks, trained, strict=True):
        part.load_state_dict(state)
    return Networks(*networks, Alpha(size=16), moments(SOURCE))


def sampler(parts, transfer=None):
    return StyleGanSampler(parts.generator, parts.beta, parts.alpha, transfer)


@pytest.mark.parametrize(
    "settings",
    [
        QUICK,
        replace(QUICK, loss="energy"),
        replace(QUICK, loss="energy", mixup=0),
        replace(QUICK, loss="perceptual"),
        replace(QUICK, loss="perceptual", mixup=0, pairing="nearest", gamma="keypoints"),
        replace(QUICK, loss="perceptual", pairing="random", gamma="pixels"),
        replace(QUICK, loss="perceptual", gamma="discriminator"),
    ],
    ids=lambda s: f"{s.loss}-{s.pairing}-{s.gamma}-{s.mixup}",
)
def test_every_loss_falls_and_leaves_the_networks_as_they_are(parts, settings):
    networks = parts.generator, parts.discriminator, parts.beta
    before = [{name: t.clone() for name, t in part.state_dict().items()} for part in networks]
    rows = []
    transfer = adapt(parts, SHOTS, settings, rows.append)
    losses = [row["loss"] for row in rows]
    assert np.mean(losses[-5:]) < 0.97 * np.mean(losses[:3])
    for part, state in zip(networks, before, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in part.state_dict().items())
    identity = [torch.equal(u.weight, torch.eye(len(u.weight))) for u in transfer.maps.values()]
    assert not any(identity)
    assert not transfer.training


def test_progress_is_reported_after_every_step(parts):
    rows = []
    adapt(parts, SHOTS, replace(QUICK, steps=3), rows.append)
    assert [(row["step"], row["steps"]) for row in rows] == [(1, 3), (2, 3), (3, 3)]
    assert all(row["steps_s"] > 0 and np.isfinite(row["loss"]) for row in rows)


@pytest.mark.parametrize("loss", ["moments", "energy"])
def test_samples_come_closer_to_the_shots(parts, loss):
    # An untrained generator draws no skeletons, but beta reads a pose off any image and tau can move it.
    transfer = adapt(parts, SHOTS, replace(QUICK, loss=loss, steps=60, shrink=1.0))
    wanted = SHOTS.mean(0)
    source, adapted = (sampler(parts, t).sample(9, np.arange(128))[0].mean(0) for t in (None, transfer))
    assert np.abs(adapted - wanted).mean() < 0.8 * np.abs(source - wanted).mean()


def test_the_same_seed_learns_the_same_and_another_one_another(parts):
    maps = [adapt(parts, SHOTS, replace(QUICK, steps=2, seed=seed)).maps["w"].weight for seed in (0, 0, 1)]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])


@pytest.mark.parametrize(("layers", "bias"), [((3,), False), ((1, 3), True), ("all", False), ("w", True)])
def test_tau_holds_the_layers_asked_for(parts, layers, bias):
    transfer = adapt(parts, SHOTS, replace(QUICK, layers=layers, bias=bias, steps=1))
    wanted = {"all": ["1", "2", "3", "4", "5"], "w": ["w"]}.get(layers) or [str(layer) for layer in layers]
    assert list(transfer.maps) == wanted
    assert all((u.bias is not None) == bias for u in transfer.maps.values())


def test_two_shots_are_enough_for_every_loss(parts):
    for loss in ("moments", "energy", "perceptual"):
        for mixup in (0, 10):
            transfer = adapt(parts, SHOTS[:2], replace(QUICK, loss=loss, mixup=mixup, steps=2))
            assert all(p.isfinite().all() for p in transfer.parameters())


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_shots_are_refused(parts, count):
    with pytest.raises(DataError, match=f"at least two poses, found {count}.*annotate more"):
        adapt(parts, SHOTS[:count], QUICK)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"layers": (3, 6)}, r"layers: \[3, 6\] is out of range .*1 to 5"),
        ({"layers": (0,)}, "out of range"),
        ({"loss": "l1"}, "'l1'.*moments, energy, perceptual"),
        ({"loss": "perceptual", "pairing": "best"}, "'best'.*random, nearest, transport"),
        ({"loss": "perceptual", "gamma": "lpips"}, "'lpips'.*beta, discriminator"),
    ],
)
def test_unknown_settings_are_refused(parts, changes, named):
    with pytest.raises(ConfigError, match=named):
        adapt(parts, SHOTS, replace(QUICK, **changes))


# ----- pairs


def distances(parts, z_NZ, guidance_NJ2):
    """Squared distance of every latent's own pose to its guidance pose."""
    with torch.inference_mode():
        poses = parts.beta.eval()(parts.generator(torch.as_tensor(z_NZ)))[0].numpy()
    return ((poses - guidance_NJ2) ** 2).sum((1, 2))


def test_random_pairs_are_the_first_latents_of_the_seed(parts):
    pairs = pair_latents(sampler(parts), SHOTS, "random", 7)
    np.testing.assert_array_equal(pairs, latents(7, np.arange(len(SHOTS)), parts.generator.z_size))


def test_transport_takes_every_latent_once_at_the_least_total_distance(parts):
    n = len(SHOTS)
    pool = latents(7, np.arange(n), parts.generator.z_size)
    pairs = pair_latents(sampler(parts), SHOTS, "transport", 7)
    assert {row.tobytes() for row in pairs} == {row.tobytes() for row in pool}
    total = distances(parts, pairs, SHOTS).sum()
    rng = np.random.default_rng(0)
    assert all(total <= distances(parts, pool[rng.permutation(n)], SHOTS).sum() + 1e-6 for _ in range(50))


def test_nearest_takes_the_nearest_of_four_times_as_many(parts):
    pool = latents(7, np.arange(4 * len(SHOTS)), parts.generator.z_size)
    pairs = pair_latents(sampler(parts), SHOTS, "nearest", 7)
    poses, _ = sampler(parts).sample(7, np.arange(4 * len(SHOTS)))
    nearest = cdist(SHOTS.reshape(len(SHOTS), -1), poses.reshape(len(poses), -1)).argmin(1)
    np.testing.assert_array_equal(pairs, pool[nearest])


def test_better_pairings_are_closer(parts):
    totals = {kind: distances(parts, pair_latents(sampler(parts), SHOTS, kind, 7), SHOTS).sum() for kind in PAIRINGS}
    assert totals["nearest"] <= totals["transport"] <= totals["random"]


def test_a_blend_alone_trains_nothing_and_comes_near_the_shots(parts):
    far = cdist(sampler(parts).sample(1, np.arange(200))[0].reshape(200, -1), SHOTS.reshape(len(SHOTS), -1)).min(1)
    settings = replace(QUICK, layers="none", blend=True, prior=0.0, mirror=False)
    transfer = adapt(parts, SHOTS, settings, on_step=lambda row: pytest.fail("trained"))
    assert not list(transfer.parameters()) and len(transfer.blend.shots_SJ2) == len(SHOTS)
    poses = sampler(parts, transfer).sample(1, np.arange(200))[0]
    assert cdist(poses.reshape(200, -1), SHOTS.reshape(len(SHOTS), -1)).min(1).mean() < 0.6 * far.mean()
    again = adapt(parts, SHOTS, settings)
    np.testing.assert_array_equal(sampler(parts, again).sample(1, np.arange(200))[0], poses)


def test_a_blended_pose_does_not_depend_on_how_many_are_asked_for(parts):
    transfer = adapt(parts, SHOTS, replace(QUICK, layers="none", blend=True))
    one, many = (sampler(parts, transfer).sample(3, np.arange(n))[0] for n in (7, 150))
    np.testing.assert_array_equal(one, many[:7])


def test_neither_layers_nor_a_blend_is_refused(parts):
    with pytest.raises(ConfigError, match="nothing to adapt"):
        adapt(parts, SHOTS, replace(QUICK, layers="none"))
