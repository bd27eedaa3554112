"""Encoded skeleton images."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.dataset.pictures import draw_images, read_images
from flexpose_ray.pose.alpha import Alpha


@pytest.mark.parametrize("encoding", ["png", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_lose_nothing(encoding: str, channels: int):
    alpha = Alpha(size=24, channels=channels)
    keypoints_NJ2 = np.random.default_rng(0).uniform(0, 1, (3, 15, 2)).astype(np.float32)
    encoded = draw_images(keypoints_NJ2, alpha, encoding)
    assert encoded == draw_images(keypoints_NJ2, alpha, encoding)
    images_NHWC = read_images(encoded, channels)
    assert images_NHWC.dtype == np.uint8
    np.testing.assert_array_equal(images_NHWC, [alpha.draw_cv(keypoints_J2) for keypoints_J2 in keypoints_NJ2])
