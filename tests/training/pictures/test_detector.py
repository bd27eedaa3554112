"""A detector's training step, and what it learns of the studio without a pair of picture and pose."""

import dataclasses

import numpy as np
import pytest
import torch

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.judging.keypoints import keypoint_scores
from flexpose_ray.networks.detector import Painter
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.world import Studio, film, shots, studio_poses
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE
from tests.training.workers import train_together

SMALL = DetectorSettings(size=32, width=8, batch=8, prepare_steps=6, steps=100)


@pytest.fixture(scope="module")
def scene():
    """A few pictures of the studio, and poses that belong to others."""
    pictures, _ = filmed(Studio("pictures", 64, size=32))
    return pictures, studio_poses(Studio("poses", 200)).keypoints_NJ2


def filmed(studio):
    """The masked pictures of a part, and their true poses."""
    clips = shots(studio)
    seen = [film(studio, clip) for clip in clips]
    masked = [np.rint(s.images_NHW3 * (s.masks_NHW[..., None] / 255)).astype(np.uint8) for s in seen]
    names = np.repeat([clip.name for clip in clips], [len(s.images_NHW3) for s in seen])
    pictures = Unlabelled(np.ascontiguousarray(np.concatenate(masked).transpose(0, 3, 1, 2)), names)
    return pictures, np.concatenate([s.keypoints_NJ2 for s in seen])


def trained(scene, steps, worker=SINGLE, **settings):
    trainer = DetectorTrainer("body_15", *scene, dataclasses.replace(SMALL, **settings), worker)
    for _ in range(steps):
        trainer.step()
    return trainer


def as_written(tensors):
    return {name: t.detach().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}


def test_the_regressor_comes_first_and_then_all_networks_move(scene):
    trainer = trained(scene, 0)
    start = as_written(trainer.networks.state_dict())
    assert set(trainer.step()) == {"prepare"}
    moved = {name.split(".")[0] for name, t in trainer.networks.state_dict().items() if not torch.equal(t, start[name])}
    assert moved == {"regressor"}
    while trainer.step_count < SMALL.prepare_steps:
        trainer.step()
    assert set(trainer.step()) == {"cycle", "g_loss", "d_loss", "regressor"}
    moved = {name.split(".")[0] for name, t in trainer.networks.state_dict().items() if not torch.equal(t, start[name])}
    assert moved == {"skeletonizer", "painter", "regressor", "critic"}


def test_two_workers_train_what_one_trains(scene):
    """For sixteen steps: an adversary makes a difference in the last digit three times as large in every step."""
    alone = trained(scene, 16)
    _, (one, other) = train_together(lambda worker: trained(scene, 0, worker), 2, 16)
    for name, weights in alone.networks.state_dict().items():
        torch.testing.assert_close(one.networks.state_dict()[name], weights, rtol=0, atol=1e-3, msg=name)
        torch.testing.assert_close(one.networks.state_dict()[name], other.networks.state_dict()[name])
    torch.testing.assert_close(one.more["cycle_means"], alone.more["cycle_means"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("at", [3, 9])  # while the regressor is prepared, and after
def test_training_resumes_bit_for_bit(scene, at):
    whole, first = trained(scene, 14), trained(scene, at)
    second = trained(scene, 0)
    tensors, numbers = first.state()
    second.load_state(as_written(tensors), numbers)
    while second.step_count < 14:
        second.step()
    for name, tensor in whole.state()[0].items():
        assert torch.equal(second.state()[0][name], tensor), name


def test_every_published_choice_trains(scene):
    """KeypointGAN's networks, at a size of which a CPU can make a step."""
    published = {"skeleton_size": 32, "convs": 2, "channels": 1, "scales": 3, "regressor": "heatmap"}
    trainer = trained(scene, 0, prepare_steps=1, **published)
    losses = [trainer.step() for _ in range(3)]
    assert all(np.isfinite(list(row.values())).all() for row in losses)


def test_a_companion_is_another_picture_of_the_same_clip():
    clip_N = np.array(["b", "a", "b", "alone", "a", "b"])
    pictures = Unlabelled(np.zeros((6, 3, 8, 8), np.uint8), clip_N)
    rows_N = np.tile(np.arange(6), 50)
    others_N = pictures.companions(rows_N, np.random.default_rng(0))
    assert (clip_N[others_N] == clip_N[rows_N]).all()
    assert ((others_N == rows_N) == (rows_N == 3)).all()
    assert set(others_N[rows_N == 0]) == {2, 5}


def test_a_moved_copy_stands_for_the_other_frame_of_a_picture_that_is_alone(scene, monkeypatch):
    seen = []
    paint = Painter.forward
    monkeypatch.setattr(Painter, "forward", lambda self, s, c: seen.append(c) or paint(self, s, c))
    alone = Unlabelled(scene[0].pictures_N3SS, np.array([str(i) for i in range(64)]))
    assert (alone.alone, scene[0].alone) == (64, 0)
    trainer = trained((alone, scene[1]), 0, prepare_steps=0)
    trainer.step()
    rng = np.random.Generator(np.random.Philox(key=0, counter=[0, 0, 0, 0]))
    own = torch.as_tensor(scene[0].pictures_N3SS[rng.integers(64, size=8)]).float() / 127.5 - 1
    apart_N = (seen[0] - own).abs().mean((1, 2, 3))
    assert (apart_N > 0.02).all()


@pytest.mark.slow  # over a minute of one core
def test_poses_of_the_domain_teach_to_read_its_pictures_and_others_do_worse():
    pictures, _ = filmed(Studio("pictures", 1500))
    tests, true_NJ2 = filmed(Studio("test", 320))
    domain_NJ2 = studio_poses(Studio("poses", 4000)).keypoints_NJ2
    settings = DetectorSettings(prepare_steps=900, steps=500)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        errors = [_error(pictures, prior, settings, tests, true_NJ2) for prior in (domain_NJ2, _tilted(domain_NJ2))]
    finally:
        torch.set_num_threads(threads)
    mean_NJ2 = np.broadcast_to(domain_NJ2.mean(0), true_NJ2.shape)
    mean_pose = keypoint_scores(mean_NJ2, true_NJ2, BODY_15.flip)["best_error"]
    assert errors[0] < 0.7 * mean_pose
    assert errors[0] < errors[1] - 0.5 / 64


def _error(pictures, prior_NJ2, settings, tests, true_NJ2):
    trainer = DetectorTrainer("body_15", pictures, prior_NJ2, settings)
    while trainer.step_count < trainer.last_step:
        trainer.step()
    found_NJ2 = trainer.reader.read(tests.pictures_N3SS).keypoints_NJ2
    return keypoint_scores(found_NJ2, true_NJ2, BODY_15.flip)["best_error"]


def _tilted(poses_NJ2):
    """As people do not stand: tilted by 25 degrees, more or less, and narrow."""
    angle_N = np.radians(np.random.default_rng(0).normal(0, 25, len(poses_NJ2)))
    turn_N22 = np.stack([np.cos(angle_N), -np.sin(angle_N), np.sin(angle_N), np.cos(angle_N)], 1).reshape(-1, 2, 2)
    return ((poses_NJ2 - 0.5) @ turn_N22 * [0.8, 1.0] + 0.5).astype(np.float32)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(DataError, match="1 to learn from"):
        Unlabelled(np.zeros((1, 3, 64, 64), np.uint8), np.array(["a"]))
    with pytest.raises(ConfigError, match="pictures of 60 and skeleton images of 16 pixels"):
        DetectorSettings(size=60)


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ({"regressor": "sparse"}, r"detector\.regressor: 'sparse' .*dense, heatmap"),
        ({"seed": -1}, r"detector\.seed: -1 .*from 0"),
        ({"lr": float("nan")}, r"detector\.lr: nan"),
        ({"steps": 0}, r"detector\.steps: 0 .*from 1"),
        ({"batch": 0}, r"detector\.batch: 0"),
        ({"channels": 2}, r"detector\.channels: 2 .*3 \(colour\) or 1"),
        ({"width": 20}, r"detector\.width: 20 .*multiple of 8"),
        ({"scales": 3}, r"detector\.scales: 3 of skeleton images of 16"),
        ({"average": 1.0}, r"detector\.average: 1 "),
    ],
)
def test_settings_out_of_range_are_refused(setting, named):
    with pytest.raises(ConfigError, match=named):
        DetectorSettings(**setting)
