"""Distance to the poses that were trained on: 1 for new poses, 0 for copies."""

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.judging import memorising
from flexpose_ray.judging.memorising import nearest_ratio
from flexpose_ray.sources.read import read_source


def poses(count, seed):
    return np.random.default_rng(seed).normal(0.5, 0.1, (count, 5, 2)).astype(np.float32)


TRAIN, HELD = poses(600, 0), poses(200, 1)


def test_new_poses_are_at_one_and_copies_at_none():
    assert nearest_ratio(poses(200, 2), TRAIN, HELD) == pytest.approx(1, abs=0.1)
    assert nearest_ratio(TRAIN[:50], TRAIN, HELD) == pytest.approx(0, abs=1e-6)
    nearly = TRAIN[:50] + np.random.default_rng(3).normal(0, 0.005, (50, 5, 2))
    assert 0.02 < nearest_ratio(nearly, TRAIN, HELD) < 0.2
    assert nearest_ratio(poses(200, 2) + 0.3, TRAIN, HELD) > 2


def test_it_is_the_ratio_of_the_medians():
    def nearest(x_NJ2):
        return np.linalg.norm(x_NJ2[:, None] - TRAIN[None], axis=3).mean(2).min(1)

    samples = poses(101, 2)
    wanted = np.median(nearest(samples)) / np.median(nearest(HELD))
    assert nearest_ratio(samples, TRAIN, HELD) == pytest.approx(wanted, rel=1e-6)


def test_the_training_poses_are_seen_in_parts(monkeypatch):
    whole = nearest_ratio(poses(50, 2), TRAIN, HELD)
    sizes, nearest = [], memorising.nearest_distance
    monkeypatch.setattr(memorising, "BLOCK", 250)
    monkeypatch.setattr(memorising, "nearest_distance", lambda a, b: sizes.append(len(b)) or nearest(a, b))
    assert nearest_ratio(poses(50, 2), TRAIN, HELD) == whole
    assert sizes == [250, 250, 100] * 2


def test_a_part_is_drawn_by_the_seed():
    samples = poses(400, 2)
    assert nearest_ratio(samples, TRAIN, HELD, most=50) == nearest_ratio(samples, TRAIN, HELD, most=50)
    assert nearest_ratio(samples, TRAIN, HELD, most=50) != nearest_ratio(samples, TRAIN, HELD, most=50, seed=1)
    assert nearest_ratio(samples, TRAIN, HELD, most=50) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize(
    ("sets", "problem"),
    [
        ((TRAIN[:0], TRAIN, HELD), "judged poses: at least 1 needed, found 0"),
        ((HELD, TRAIN[:0], HELD), "reference poses: at least 1 needed, found 0"),
        ((HELD, TRAIN, HELD[:, :4]), "joint counts differ: 4 and 5"),
        ((HELD, TRAIN, TRAIN[:100]), r"most of them are training poses \(hold out poses of other videos"),
    ],
)
def test_sets_that_say_nothing_are_refused(sets, problem):
    with pytest.raises(DataError, match=problem):
        nearest_ratio(*sets)


def test_people_of_other_pictures_are_new(real_data):
    found, _ = read_source(f"coco:{real_data}/coco2017_keypoints/person_keypoints_train2017.json.gz")
    train, rest = found.split(0.5)
    samples, held = rest.split(0.5)
    assert nearest_ratio(samples.keypoints_NJ2, train.keypoints_NJ2, held.keypoints_NJ2) == pytest.approx(1, abs=0.1)
