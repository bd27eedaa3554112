import numpy as np
import pytest

from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.motion import perform
from flexpose_ray.studio.people import draw_backdrop, draw_person
from flexpose_ray.studio.render import YAWS, render

PERSON = draw_person(np.random.default_rng(3))


def film(yaw=45.0, backdrop=None, size=64):
    world_FJ3 = perform("walking", PERSON.body, 6, np.random.default_rng(0))
    return render(world_FJ3, PERSON, yaw, backdrop, size)


def colour_at(picture, keypoints_J2, joint):
    x, y = (keypoints_J2[BODY_15.joints.index(joint)] * len(picture)).astype(int)
    return picture[y, x].astype(float)


@pytest.mark.parametrize("size", [32, 64, 128])
@pytest.mark.parametrize("yaw", YAWS)
def test_every_joint_lies_on_the_person(yaw, size):
    pictures = film(yaw, size=size)
    assert pictures.images_NHW3.shape == (6, size, size, 3) and pictures.images_NHW3.dtype == np.uint8
    for mask, keypoints_J2 in zip(pictures.masks_NHW, pictures.keypoints_NJ2, strict=True):
        columns, rows = (keypoints_J2 * size).astype(int).T
        assert (mask[rows, columns] > 100).all()
    assert 0.04 < (pictures.masks_NHW > 127).mean() < 0.4


def test_without_a_backdrop_all_is_black_around_the_person_and_with_one_the_person_stays():
    plain, before = film(), film(backdrop=draw_backdrop(np.random.default_rng(1)))
    assert (plain.images_NHW3[plain.masks_NHW == 0] == 0).all()
    assert (before.images_NHW3[before.masks_NHW == 0].max(1) > 20).all()
    inside = plain.masks_NHW == 255
    assert np.abs(plain.images_NHW3[inside].astype(int) - before.images_NHW3[inside]).max() <= 1  # the last rounding
    np.testing.assert_array_equal(plain.keypoints_NJ2, before.keypoints_NJ2)


def test_limbs_wear_their_colours():
    pictures = film(size=128)
    hue = PERSON.colors["leg"] / PERSON.colors["leg"].max()
    seen = zip(pictures.images_NHW3, pictures.keypoints_NJ2, strict=True)
    knees = np.stack([colour_at(picture, keypoints_J2, "left_knee") for picture, keypoints_J2 in seen])
    np.testing.assert_allclose(knees / knees.max(1, keepdims=True), np.tile(hue, (6, 1)), atol=0.06)


def test_a_face_is_seen_from_the_front_and_hair_from_behind():
    left, right = BODY_15.joints.index("left_shoulder"), BODY_15.joints.index("right_shoulder")
    views = [film(yaw, size=128) for yaw in YAWS]
    side = [float(v.keypoints_NJ2[0, left, 0] - v.keypoints_NJ2[0, right, 0]) for v in views]
    front, back = views[int(np.argmax(side))], views[int(np.argmin(side))]
    bright = PERSON.colors["skin"].sum(), PERSON.colors["hair"].clip(0, 1).sum()
    assert bright[0] > 1.3 * bright[1]  # or they could not be told apart
    faces = [colour_at(v.images_NHW3[0], v.keypoints_NJ2[0] + [0, -0.02], "head").sum() for v in (front, back)]
    assert faces[0] > faces[1]


def test_a_backdrop_stays_while_the_crop_follows():
    wall = np.zeros((256, 256, 3), np.float32)
    wall[:, 128:] = 1.0  # black on the left of the camera's view, white on the right
    pictures = film(backdrop=wall, size=64)
    for picture, mask, crop_3 in zip(pictures.images_NHW3, pictures.masks_NHW, pictures.crop_N3, strict=True):
        edge = -crop_3[1] / crop_3[0] * 64  # where the view's middle lies in the crop
        columns = np.arange(64)
        empty = mask[2] == 0
        np.testing.assert_array_equal(picture[2, (columns > edge + 1) & empty], 255)
        np.testing.assert_array_equal(picture[2, (columns < edge - 1) & empty], 0)
