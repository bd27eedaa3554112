import cv2
import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.geometry import crop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.preview import LEFT, MIDDLE, RIGHT, TILE, side_color, write_preview

AT = {joint: i for i, joint in enumerate(BODY_15.joints)}


def standing(count=3):
    """People who face the camera, their left on the picture's right, in pictures of 300 x 200."""
    places = {"head": (150, 20), "neck": (150, 50), "pelvis": (150, 110)}
    for side, sign in (("left", 1), ("right", -1)):
        limbs = {"shoulder": (20, 55), "elbow": (30, 80), "wrist": (34, 105), "hip": (12, 110), "knee": (14, 145)}
        places |= {f"{side}_{part}": (150 + sign * x, y) for part, (x, y) in (limbs | {"ankle": (16, 180)}).items()}
    pixels_J2 = np.array([places[joint] for joint in BODY_15.joints], float)
    return PoseSet(*_cropped(np.tile(pixels_J2, (count, 1, 1))))


def _cropped(pixels_NJ2):
    keypoints_NJ2, crop_N3 = crop(pixels_NJ2)
    return keypoints_NJ2, "body_15", crop_N3


def near(picture, color):
    """(y, x) of the pixels of one colour, about."""
    return np.argwhere(np.abs(picture.astype(int) - color).max(2) < 40)


def test_left_and_right_limbs_are_told_apart(tmp_path):
    assert write_preview(f"{tmp_path}/sheet.png", standing(1), None, tmp_path) == 0
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (TILE, 6 * TILE, 3)
    left, right, middle = (near(sheet, color)[:, 1].mean() for color in (LEFT, RIGHT, MIDDLE))
    assert right < middle < left


def test_a_pose_lies_over_its_picture(tmp_path):
    poses = standing(2)
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[15:26, 145:156] = (0, 0, 255)  # where the head is
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images" / "a.png"), picture)
    assert write_preview(f"{tmp_path}/sheet.png", poses, np.array(["a.png", "none.png"]), tmp_path) == 1
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    tiles = sheet[:, :TILE], sheet[:, TILE : 2 * TILE]
    over = next(tile for tile in tiles if tile[5, TILE // 2].max() < 40)
    (y, x), (zoom, head) = near(over, (0, 0, 255)).mean(0), (TILE / (160 * 1.25), 20)
    assert abs(x - TILE / 2) < 3 and abs(y - (TILE / 2 + (head - 100) * zoom)) < 3


@pytest.mark.parametrize("count", [1, 24, 100])
def test_a_sheet_has_24_poses_at_most(tmp_path, count):
    write_preview(f"{tmp_path}/sheet.jpg", standing(count), None, tmp_path)
    assert cv2.imread(str(tmp_path / "sheet.jpg")).shape[0] == TILE * (1 if count == 1 else 4)


def test_sides_come_from_names_or_else_from_the_order():
    assert side_color(BODY_15, AT["left_knee"]) == LEFT and side_color(BODY_15, AT["right_knee"]) == RIGHT
    assert side_color(BODY_15, AT["neck"]) == MIDDLE == side_color(FACE_68, 8)
    assert side_color(FACE_68, 0) == LEFT and side_color(FACE_68, 16) == RIGHT


def test_what_is_no_picture_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"a preview is a picture \(let its name end in \.png"):
        write_preview(f"{tmp_path}/sheet.pdf", standing(), None, tmp_path)
    (tmp_path / "broken.png").write_bytes(b"no picture")
    assert write_preview(f"{tmp_path}/sheet.png", standing(1), np.array(["broken.png"]), tmp_path) == 0
