import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose import geometry
from flexpose_ray.pose.skeleton import BODY_15, FACE_68


def some_pixels(count=50, joints=15, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (count, joints, 2)) * rng.uniform(20, 900, (count, 1, 2)) + rng.uniform(
        -50, 900, (count, 1, 2)
    )


def limb_lengths(keypoints_NJ2, skeleton):
    start_K, end_K = np.array(skeleton.limbs).T
    return np.linalg.norm(keypoints_NJ2[:, start_K] - keypoints_NJ2[:, end_K], axis=2)


def test_crop_centres_the_box_and_gives_its_longer_side_four_fifths():
    keypoints_NJ2, _ = geometry.crop(some_pixels())
    low_N2, high_N2 = keypoints_NJ2.min(1), keypoints_NJ2.max(1)
    np.testing.assert_allclose((low_N2 + high_N2) / 2, 0.5, atol=1e-6)
    np.testing.assert_allclose((high_N2 - low_N2).max(1), 0.8, atol=1e-6)


def test_crop_keeps_the_aspect():
    pixels_NJ2 = some_pixels()
    keypoints_NJ2, crop_N3 = geometry.crop(pixels_NJ2)
    ratio_NL = limb_lengths(pixels_NJ2, BODY_15) / limb_lengths(keypoints_NJ2, BODY_15)
    np.testing.assert_allclose(ratio_NL, np.broadcast_to(crop_N3[:, :1], ratio_NL.shape), rtol=1e-4)


def test_uncrop_undoes_crop():
    pixels_NJ2 = some_pixels()
    np.testing.assert_allclose(geometry.uncrop(*geometry.crop(pixels_NJ2)), pixels_NJ2, atol=1e-3)


def test_crop_is_idempotent_on_cropped_poses():
    keypoints_NJ2, _ = geometry.crop(some_pixels())
    again_NJ2, crop_N3 = geometry.crop(keypoints_NJ2)
    np.testing.assert_allclose(again_NJ2, keypoints_NJ2, atol=1e-6)
    np.testing.assert_allclose(crop_N3, np.tile([1, 0, 0], (50, 1)), atol=1e-6)


def test_crop_refuses_a_pose_without_extent():
    pixels_NJ2 = some_pixels(3)
    pixels_NJ2[1] = 7.0
    with pytest.raises(DataError, match="pose 1: all joints are in one point"):
        geometry.crop(pixels_NJ2)


@pytest.mark.parametrize("skeleton", [BODY_15, FACE_68], ids=lambda s: s.name)
def test_flip_is_an_involution_that_keeps_limb_lengths(skeleton):
    keypoints_NJ2, _ = geometry.crop(some_pixels(joints=skeleton.n_joints))
    flipped_NJ2 = geometry.flip(keypoints_NJ2, skeleton)
    np.testing.assert_allclose(geometry.flip(flipped_NJ2, skeleton), keypoints_NJ2, atol=1e-6)
    lengths_NL, flipped_NL = limb_lengths(keypoints_NJ2, skeleton), limb_lengths(flipped_NJ2, skeleton)
    np.testing.assert_allclose(np.sort(flipped_NL, 1), np.sort(lengths_NL, 1), atol=1e-6)


def test_flip_exchanges_left_and_right():
    keypoints_NJ2, _ = geometry.crop(some_pixels())
    left, right = BODY_15.joints.index("left_wrist"), BODY_15.joints.index("right_wrist")
    flipped_NJ2 = geometry.flip(keypoints_NJ2, BODY_15)
    np.testing.assert_allclose(flipped_NJ2[:, left], keypoints_NJ2[:, right] * [-1, 1] + [1, 0], atol=1e-6)


def test_flip_leaves_its_input_alone():
    keypoints_NJ2, _ = geometry.crop(some_pixels())
    before_NJ2 = keypoints_NJ2.copy()
    geometry.flip(keypoints_NJ2, BODY_15)
    np.testing.assert_array_equal(keypoints_NJ2, before_NJ2)


def test_mixup_lies_on_the_segment_between_two_different_shots():
    shots_NJ2, _ = geometry.crop(some_pixels(2))
    mixed_NJ2 = geometry.pose_mixup(shots_NJ2, 200, np.random.default_rng(1))
    assert mixed_NJ2.shape == (200, 15, 2) and mixed_NJ2.dtype == np.float32
    axis_J2 = shots_NJ2[1] - shots_NJ2[0]
    ratio_N = ((mixed_NJ2 - shots_NJ2[0]) * axis_J2).sum((1, 2)) / (axis_J2**2).sum()
    assert ratio_N.min() >= -1e-6 and ratio_N.max() <= 1 + 1e-6
    np.testing.assert_allclose(mixed_NJ2, shots_NJ2[0] + ratio_N[:, None, None] * axis_J2, atol=1e-5)
    assert len(np.unique(ratio_N.round(6))) > 190


def test_mixup_of_many_shots_stays_inside_their_range_and_uses_them_all():
    shots_NJ2, _ = geometry.crop(some_pixels(12))
    mixed_NJ2 = geometry.pose_mixup(shots_NJ2, 1000, np.random.default_rng(0))
    assert (mixed_NJ2 >= shots_NJ2.min(0) - 1e-6).all() and (mixed_NJ2 <= shots_NJ2.max(0) + 1e-6).all()
    nearest_N = ((mixed_NJ2[:, None] - shots_NJ2) ** 2).sum((2, 3)).argmin(1)
    assert set(nearest_N) == set(range(12))


def test_mixup_repeats_with_its_seed():
    shots_NJ2, _ = geometry.crop(some_pixels(5))
    first_NJ2, second_NJ2 = (geometry.pose_mixup(shots_NJ2, 10, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first_NJ2, second_NJ2)


@pytest.mark.parametrize("count", [0, 1])
def test_mixup_needs_two_shots(count):
    with pytest.raises(DataError, match=f"at least two poses, found {count} .annotate one more"):
        geometry.pose_mixup(some_pixels(2)[:count], 10, np.random.default_rng(0))


CUBE_83 = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


def test_projection_sees_x_to_the_right_and_y_up_from_positive_z():
    pixels_J2 = geometry.project(CUBE_83[None] + 5, yaw_N=0, pitch_N=0, distance_N=10, focal_px=900)[0]
    np.testing.assert_allclose(pixels_J2[0], [-900 / 11, 900 / 11])  # far, left, low: below the middle is larger y
    np.testing.assert_allclose(pixels_J2[7], [900 / 9, -900 / 9])


def test_projection_turns_the_camera_to_positive_x():
    pixels_J2 = geometry.project(CUBE_83[None], yaw_N=np.pi / 2, pitch_N=0, distance_N=10)[0]
    near = np.flatnonzero(CUBE_83[:, 0] > 0)
    assert (np.abs(pixels_J2[near]) > 110).all() and (np.abs(np.delete(pixels_J2, near, 0)) < 92).all()
    np.testing.assert_array_equal(np.sign(pixels_J2[:, 0]), -np.sign(CUBE_83[:, 2]))


def test_projection_from_above_shows_the_top_nearer():
    pixels_J2 = geometry.project(CUBE_83[None], yaw_N=0, pitch_N=np.pi / 2, distance_N=10)[0]
    top = CUBE_83[:, 1] > 0
    np.testing.assert_allclose(np.abs(pixels_J2[top]), 1000 / 9)
    np.testing.assert_array_equal(np.sign(pixels_J2[:, 1]), np.sign(CUBE_83[:, 2]))


def test_projection_from_afar_keeps_lengths_whatever_the_yaw():
    pixels_NJ2 = geometry.project(np.tile(CUBE_83, (9, 1, 1)), np.linspace(0, 6, 9), 0.0, 1e6, focal_px=1e6)
    np.testing.assert_allclose(np.ptp(pixels_NJ2[..., 1], axis=1), 2, rtol=1e-4)


def test_projection_refuses_joints_behind_the_camera():
    with pytest.raises(DataError, match="pose 1: a joint is behind the camera"):
        geometry.project(np.tile(CUBE_83, (2, 1, 1)), 0.0, 0.0, np.array([5.0, 0.5]))
