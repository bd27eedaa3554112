"""Skeleton images as encoded files: drawing and decoding them."""

from __future__ import annotations

import cv2
import numpy as np

from flexpose_ray.pose.alpha import Alpha

ENCODERS = {
    "png": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 6]),  # level 6: a fifth of drawing's time, a sixth of the space saved
    "webp": (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),  # above 100 is lossless
}


def draw_images(keypoints_NJ2: np.ndarray, alpha: Alpha, encoding: str) -> list[bytes]:
    """Draw and encode the skeleton image of every pose; the same bytes under the same OpenCV.

    Args:
        keypoints_NJ2: crop units.
        alpha: how they are drawn.
        encoding: "png" or "webp", both lossless.
    """
    cv2.setNumThreads(1)
    suffix, options = ENCODERS[encoding]
    images = (alpha.draw_cv(keypoints_J2)[..., ::-1] for keypoints_J2 in keypoints_NJ2)  # OpenCV wants BGR
    return [cv2.imencode(suffix, np.ascontiguousarray(image_HWC), options)[1].tobytes() for image_HWC in images]


def read_images(encoded: list[bytes], channels: int) -> np.ndarray:
    """Decode pictures of :func:`draw_images`, all of one size: images_NHWC, uint8, RGB or grey."""
    mode = cv2.IMREAD_COLOR if channels == 3 else cv2.IMREAD_GRAYSCALE
    images = [cv2.imdecode(np.frombuffer(data, np.uint8), mode) for data in encoded]
    return np.stack(images)[..., ::-1] if channels == 3 else np.stack(images)[..., None]
