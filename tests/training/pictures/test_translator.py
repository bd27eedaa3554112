"""A translator learns both ways, goes on bit for bit, and is the same however many workers train it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flexpose_ray.errors import ConfigError
from flexpose_ray.pictures.read import read_pictures
from flexpose_ray.studio.world import Studio, studio_poses
from flexpose_ray.training.pictures.translator import TranslatorTrainer
from flexpose_ray.training.pictures.translator_settings import TranslatorSettings
from flexpose_ray.training.pictures.unlabelled import Unlabelled
from flexpose_ray.training.settings import SINGLE
from tests.training.workers import train_together

SMALL = {"size": 16, "width": 8, "blocks": 1, "critic_width": 8, "batch": 4, "pool": 6, "steps": 30}


def trained(count: int, worker=SINGLE, pictures: int = 32, poses: int = 60, **changes) -> TranslatorTrainer:
    seen = read_pictures(f"synthetic:studio?count={pictures}&backdrop=no", 16)
    prior_NJ2 = studio_poses(Studio("poses", 400)).keypoints_NJ2[:poses]
    settings = TranslatorSettings(**SMALL | changes)
    trainer = TranslatorTrainer("body_15", Unlabelled(seen.pictures_N3SS, seen.clip_N), prior_NJ2, settings, worker)
    for _ in range(count):
        trainer.step()
    return trainer


def test_what_comes_back_becomes_what_went():
    trainer, rows = trained(0, steps=150, lr=2e-3), []
    for _ in range(150):
        rows.append(trainer.step())
    assert set(rows[0]) == {"cycle_pictures", "cycle_skeletons", "g_loss", "d_loss"}
    for name in ("cycle_pictures", "cycle_skeletons"):
        first, last = (np.mean([row[name] for row in part]) for part in (rows[:10], rows[-10:]))
        assert last < 0.5 * first
    drawn, pictures = next(trainer.painter.paint(studio_poses(Studio("poses", 3)).keypoints_NJ2))
    assert drawn.shape == pictures.shape == (3, 16, 16, 3) and pictures.dtype == np.uint8


def test_what_is_painted_follows_the_pose():
    """Silhouettes resemble the drawing of their own pose, not those of others; before training neither."""
    trainer = trained(0, pictures=320, poses=300, steps=200, lr=2e-3)
    new_NJ2 = studio_poses(Studio("poses", 400)).keypoints_NJ2[300:364]  # none that it learns from

    def likeness() -> tuple[float, float]:
        """Mean correlation with its own drawing, and with the others', of what differs from the mean picture."""
        maps = []
        for images_NHWC in next(trainer.painter.paint(new_NJ2)):
            brightness = images_NHWC.max(3).reshape(len(new_NJ2), -1).astype(np.float64)
            brightness -= brightness.mean(0)
            maps.append(brightness / np.linalg.norm(brightness, axis=1, keepdims=True))
        pairs = maps[0] @ maps[1].T
        own = np.eye(len(pairs), dtype=bool)
        return pairs[own].mean(), pairs[~own].mean()

    assert likeness()[0] < 0.05
    for _ in range(200):
        trainer.step()
    own, others = likeness()
    assert own > 0.12 and others < 0.05


@pytest.mark.parametrize("changes", [{}, {"pool": 0}, {"channels": 1}, {"identity": 0.5, "stem": 1}])
def test_training_resumes_bit_for_bit(changes):
    whole, first, second = trained(8, **changes), trained(3, **changes), trained(0, **changes)
    tensors, numbers = first.state()
    second.load_state({name: tensor.clone().contiguous() for name, tensor in tensors.items()}, numbers)
    for _ in range(5):
        second.step()
    for name, tensor in whole.state()[0].items():
        assert torch.equal(tensor, second.state()[0][name]), name


def test_two_workers_train_what_one_trains():
    """The pool of former results among it."""
    alone = trained(6)
    _, (one, other) = train_together(lambda worker: trained(0, worker), 2, 6)
    for name, tensor in alone.state()[0].items():
        torch.testing.assert_close(one.state()[0][name], tensor, rtol=0, atol=2e-3, msg=name)
        torch.testing.assert_close(one.state()[0][name], other.state()[0][name])


def test_the_learning_rate_falls_to_nothing_in_the_second_half():
    trainer, rates = trained(0, steps=8), []
    for _ in range(8):
        trainer.step()
        rates.append(trainer.optimizers["critics"].param_groups[0]["lr"] / trainer.settings.lr)
    assert rates == pytest.approx([1, 1, 1, 1, 1, 0.75, 0.5, 0.25])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"identity": 0.5, "channels": 1}, r"translator\.identity: 0\.5 with skeleton images of 1 channel"),
        ({"channels": 2}, r"translator\.channels"),
        ({"size": 60}, r"translator\.size: 60"),
        ({"size": 16, "halvings": 3}, r"translator\.halvings: 3 of images of 16"),
        ({"lr": float("nan")}, r"translator\.lr: nan"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, named):
    with pytest.raises(ConfigError, match=named):
        TranslatorSettings(**changes)
