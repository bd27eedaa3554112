"""A few annotated pictures beside many without: they decide about sides, and change nothing else of a training."""

import dataclasses

import numpy as np
import pytest
import torch

from flexpose_ray.errors import DataError
from flexpose_ray.pictures.annotated import read_annotated
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.world import Studio, studio_poses
from flexpose_ray.training.pictures.anchors import Anchors
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE
from tests.training.workers import train_together

SMALL = DetectorSettings(size=32, width=8, batch=8, prepare_steps=4, steps=100)
FLIP = list(BODY_15.flip)


@pytest.fixture(scope="module")
def scene():
    """Pictures of the studio with their poses, and poses of others."""
    found = read_annotated("synthetic:studio?part=pictures&count=96&frames=8&backdrop=no", ".", 32)
    pictures_N3SS, poses_NJ2 = found.pictures_N3SS[:], found.poses.keypoints_NJ2
    prior_NJ2 = studio_poses(Studio("poses", 400)).keypoints_NJ2
    few = Anchors(pictures_N3SS[::8], poses_NJ2[::8])
    return Unlabelled(pictures_N3SS, found.poses.group_N), prior_NJ2, few


def trained(scene, steps, worker=SINGLE, anchors=True, **settings):
    pictures, prior_NJ2, few = scene
    settings = dataclasses.replace(SMALL, **settings)
    trainer = DetectorTrainer("body_15", pictures, prior_NJ2, settings, worker, few if anchors else None)
    for _ in range(steps):
        trainer.step()
    return trainer


@pytest.mark.slow  # twelve seconds of one core
def test_annotated_pictures_decide_about_sides(scene):
    """Each detector reads them as it was taught, with sides exchanged or not: nothing else says which is left."""
    pictures, prior_NJ2, few = scene
    alone = {"prepare_steps": 140, "lr": 2e-3, "average": 0.9, "anchor": 100.0, "adversary": 0.0, "cycle": 0.0}
    for taught_NJ2 in (few.poses_NJ2, few.poses_NJ2[:, FLIP]):
        trainer = trained((pictures, prior_NJ2, Anchors(few.pictures_N3SS, taught_NJ2)), 400, **alone)
        found_NJ2 = trainer.reader.read(few.pictures_N3SS).keypoints_NJ2
        as_taught, exchanged = (np.linalg.norm(found_NJ2 - p, axis=2).mean() for p in (taught_NJ2, taught_NJ2[:, FLIP]))
        assert as_taught < 0.9 * exchanged, (as_taught, exchanged)


def test_without_any_or_without_weight_a_training_is_as_before(scene):
    before, weightless = (trained(scene, 7, anchors=False), trained(scene, 7, anchor=0.0))
    for name, tensor in before.state()[0].items():
        assert torch.equal(weightless.state()[0][name], tensor), name
    assert "anchor" not in before.step() and "anchor" not in weightless.step()
    assert trained(scene, SMALL.prepare_steps).step()["anchor"] > 0


@pytest.mark.parametrize("at", [2, 6])
def test_training_resumes_bit_for_bit(scene, at):
    whole, first, second = trained(scene, 8), trained(scene, at), trained(scene, 0)
    second.load_state(*first.state())
    while second.step_count < 8:
        second.step()
    for name, tensor in whole.state()[0].items():
        assert torch.equal(second.state()[0][name], tensor), name


def test_two_workers_train_what_one_trains(scene):
    alone = trained(scene, 0)
    losses = [alone.step() for _ in range(10)]
    means, (one, other) = train_together(lambda worker: trained(scene, 0, worker), 2, 10)
    assert [row.get("anchor") for row in means] == pytest.approx([row.get("anchor") for row in losses], rel=1e-3)
    for name, weights in alone.networks.state_dict().items():
        torch.testing.assert_close(one.networks.state_dict()[name], weights, rtol=0, atol=1e-3, msg=name)
        torch.testing.assert_close(one.networks.state_dict()[name], other.networks.state_dict()[name])


def test_what_is_no_annotated_picture_is_refused():
    with pytest.raises(DataError, match="annotated pictures: there are none"):
        Anchors(np.zeros((0, 3, 8, 8), np.uint8), np.zeros((0, 15, 2), np.float32))
    with pytest.raises(DataError, match="annotated pictures: 2 poses of 3 pictures"):
        Anchors(np.zeros((3, 3, 8, 8), np.uint8), np.zeros((2, 15, 2), np.float32))
