"""The supervised twin learns what pictures show, and goes on bit for bit."""

from __future__ import annotations

import torch

from flexpose_ray.evaluation.detector import score, score_mean_pose
from flexpose_ray.pictures.annotated import read_annotated
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.supervised import SupervisedTrainer
from flexpose_ray.training.pictures.unlabelled import Unlabelled

SETTINGS = DetectorSettings(size=32, width=8, batch=16, prepare_steps=20, steps=120, average=0.9, lr=2e-3)


def trainer(settings: DetectorSettings = SETTINGS, worker=None) -> SupervisedTrainer:
    found = read_annotated("synthetic:studio?part=pictures&count=128&backdrop=no", ".", 32)
    given = Unlabelled(found.pictures_N3SS, found.poses.group_N), found.poses.keypoints_NJ2, settings
    return SupervisedTrainer("body_15", *given) if worker is None else SupervisedTrainer("body_15", *given, worker)


def test_it_reads_pictures_better_than_the_mean_pose():
    twin = trainer()
    while twin.step_count < twin.last_step:
        losses = twin.step()
    assert set(losses) == {"points", "drawn"}
    seen = read_annotated("synthetic:studio?part=pictures&count=128&backdrop=no", ".", 32)
    found = score("twin", twin.reader.read(seen.pictures_N3SS).keypoints_NJ2, seen.poses)
    assert found["error"] < 0.7 * score_mean_pose(seen.poses.keypoints_NJ2.mean(0), seen.poses)["error"]


def test_it_goes_on_bit_for_bit():
    settings = DetectorSettings(size=32, width=8, batch=8, prepare_steps=3, steps=6)
    whole, part, rest = trainer(settings), trainer(settings), trainer(settings)
    for _ in range(9):
        whole.step()
    for _ in range(5):
        part.step()
    rest.load_state(*part.state())
    for _ in range(4):
        rest.step()
    for name, tensor in whole.state()[0].items():
        assert torch.equal(tensor, rest.state()[0][name]), name
    assert whole.state()[1] == rest.state()[1]
