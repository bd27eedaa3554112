import json

import numpy as np
import pytest
import torch

from flexpose_ray.errors import WeightsError
from flexpose_ray.models.detectors import load_detector, save_detector
from flexpose_ray.models.generators import kind_of, load_generator, load_sampler
from flexpose_ray.models.weights import write_model
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.world import Studio, studio_poses
from flexpose_ray.training.pictures.detector import DetectorTrainer
from flexpose_ray.training.pictures.detector_settings import DetectorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled

SETTINGS = DetectorSettings(size=32, width=8, batch=4, prepare_steps=3, steps=3)
PICTURES_N3SS = np.random.default_rng(0).integers(0, 256, (70, 3, 32, 32)).astype(np.uint8)


@pytest.fixture(scope="module")
def trainer():
    pictures = Unlabelled(PICTURES_N3SS, np.repeat(["a", "b"], 35))
    trainer = DetectorTrainer("body_15", pictures, studio_poses(Studio("poses", 50)).keypoints_NJ2, SETTINGS)
    while trainer.step_count < trainer.last_step:
        trainer.step()
    return trainer


def test_what_is_read_again_reads_the_same(trainer, tmp_path):
    digest = save_detector(str(tmp_path), trainer.reader, SETTINGS, {"pictures": 70})
    detector = load_detector(str(tmp_path))
    assert detector.digest == digest and detector.card == {"pictures": 70} and detector.settings == SETTINGS
    before, after = (reader.read(PICTURES_N3SS) for reader in (trainer.reader, detector.reader))
    for name in ("keypoints_NJ2", "confidence_NJ", "exchanged_N"):
        np.testing.assert_allclose(getattr(before, name), getattr(after, name), atol=1e-6)
    assert before.keypoints_NJ2.shape == (70, 15, 2)
    assert 0 <= before.confidence_NJ.min() <= before.confidence_NJ.max() <= 1


def test_sides_are_exchanged_where_they_are_doubted(trainer):
    reading = trainer.reader.read(PICTURES_N3SS)
    corrected_NJ2 = reading.corrected(BODY_15.flip)
    for found_J2, right_J2, doubted in zip(reading.keypoints_NJ2, corrected_NJ2, reading.exchanged_N, strict=True):
        np.testing.assert_array_equal(right_J2, found_J2[list(BODY_15.flip)] if doubted else found_J2)


def test_confidence_falls_where_the_picture_became_something_else(trainer):
    reader = trainer.reader
    pose_J2 = studio_poses(Studio("test", 1)).keypoints_NJ2
    drawn = reader.alpha.draw(torch.as_tensor(pose_J2))
    reader.skeletonizer, reader.regressor = (lambda x: drawn), (lambda x: torch.as_tensor(pose_J2))
    assert reader.read(PICTURES_N3SS[:1]).confidence_NJ.min() == 1
    head = BODY_15.joints.index("head")
    column, row = (pose_J2[0, head] * reader.alpha.size).astype(int)
    drawn[:, :, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] *= -1
    confidence_J = reader.read(PICTURES_N3SS[:1]).confidence_NJ[0]
    assert confidence_J.argmin() == head and confidence_J[head] < 0.9


def test_other_models_are_refused(trainer, tmp_path):
    with pytest.raises(WeightsError, match="no model here"):
        load_detector(str(tmp_path / "none"))
    write_model(str(tmp_path / "other"), "generator", {}, {}, {})
    with pytest.raises(WeightsError, match="holds generator weights where detector ones are needed"):
        load_detector(str(tmp_path / "other"))
    write_model(str(tmp_path / "later"), "detector", {"settings": {"eyes": 2}, "skeleton": "body_15"}, {}, {})
    with pytest.raises(WeightsError, match="not one of this version"):
        load_detector(str(tmp_path / "later"))
    save_detector(str(tmp_path / "mine"), trainer.reader, SETTINGS, {})
    head = json.loads((tmp_path / "mine/model.json").read_text())
    assert head["config"]["skeleton"] == "body_15"


@pytest.mark.parametrize("reads", [load_sampler, kind_of, load_generator])
def test_a_detector_is_no_generator(trainer, tmp_path, reads):
    save_detector(str(tmp_path), trainer.reader, SETTINGS, {})
    with pytest.raises(WeightsError, match="holds detector weights where generator ones are needed"):
        reads(str(tmp_path))
