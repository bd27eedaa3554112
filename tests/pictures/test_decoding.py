"""One picture: upright, whole in a square, or the part that a pose's canvas covers."""

import struct

import cv2
import numpy as np
import pytest

from flexpose_ray.pictures.decoding import cut, decode, to_square


def test_a_square_holds_the_whole_picture_and_leads_back_to_its_pixels():
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[40:60, 150:170] = 255
    square, (scale, x, y) = to_square(picture, 40)
    rows, columns = square[..., 0].nonzero()
    crop_2 = np.array([columns.mean() + 0.5, rows.mean() + 0.5]) / 40
    np.testing.assert_allclose(crop_2 * scale + [x, y], [160, 50], atol=1)
    assert not square[:10].any() and not square[30:].any()


@pytest.mark.parametrize("zoom", [1, 4, 16])
def test_a_cut_shows_what_the_canvas_of_a_pose_covers(zoom):
    picture = np.zeros((100 * zoom, 200 * zoom, 3), np.uint8)
    picture[40 * zoom : 60 * zoom, 100 * zoom : 140 * zoom] = 255
    part = cut(picture, np.array([80, 80, 10]) * zoom, 16)[..., 0] / 255
    wanted = np.zeros((16, 16))
    wanted[6:10, 4:12] = 1
    np.testing.assert_allclose(part, wanted, atol=0.6 if zoom > 1 else 0)
    assert abs(part - wanted).mean() < 0.03
    assert not cut(picture, np.array([80, -500, 0]) * zoom, 16).any()


def exif_turned():
    """A JPEG of 10 x 20 pixels whose EXIF says that it is to be turned by a quarter, its top red."""
    picture = np.zeros((20, 10, 3), np.uint8)
    picture[:10, :, 2] = 255
    jpeg = cv2.imencode(".jpg", picture)[1].tobytes()
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    body = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def test_a_picture_is_turned_as_its_camera_says():
    turned, plain = decode(exif_turned()), decode(exif_turned(), upright=False)
    assert turned.shape == (10, 20, 3) and plain.shape == (20, 10, 3)
    assert turned[:, -5:, 0].min() > 200 and plain[:5, :, 0].min() > 200  # its top became its right
