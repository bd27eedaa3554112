"""The guidance set: shots, mirror images where they look like shots, and mixtures of two."""

import numpy as np
import pytest

from flexpose_ray.methods.guidance import both_sides, guidance, mixed, with_sides
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats.synthetic import sample_synthetic

SHOTS = sample_synthetic("cycling?count=12").keypoints_NJ2


def test_whether_a_target_shows_both_sides_is_seen_from_its_shots():
    assert not both_sides(SHOTS, BODY_15)  # cyclists on their way to the right
    assert both_sides(np.concatenate([SHOTS[:6], flip(SHOTS[6:], BODY_15)]), BODY_15)
    assert not both_sides(SHOTS[:1], BODY_15)


def test_every_second_mixture_is_mirrored():
    plain, both = (mixed(SHOTS, 20, np.random.default_rng(0), BODY_15, mirror) for mirror in (False, True))
    np.testing.assert_array_equal(both[::2], plain[::2])
    np.testing.assert_array_equal(both[1::2], flip(plain[1::2], BODY_15))


@pytest.mark.parametrize(("mirror", "count"), [(False, 12), (True, 24)])
def test_without_mixup_it_is_the_shots_and_their_mirror_images(mirror: bool, count: int):
    found = guidance(SHOTS, 0, np.random.default_rng(0), BODY_15, mirror)
    np.testing.assert_array_equal(found, with_sides(SHOTS, BODY_15, mirror))
    assert len(found) == count
