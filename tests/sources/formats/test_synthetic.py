import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats import synthetic
from flexpose_ray.sources.formats.synthetic import ACTIVITIES, SEGMENTS, sample_synthetic

EACH = pytest.mark.parametrize("name", ACTIVITIES)


def world(name, count=400):
    """Poses in space before the camera, in statures, and the bodies they were made from."""
    rng = np.random.default_rng(0)
    body = {part: np.full(count, share) for part, share in SEGMENTS.items()}
    return ACTIVITIES[name](rng, body, np.arange(count), count)


def joint(poses_NJ3, name):
    return poses_NJ3[:, BODY_15.joints.index(name)]


def angle(poses_NJ3, *names):
    """Degrees at the middle of three joints."""
    a_N3, b_N3, c_N3 = (joint(poses_NJ3, name) for name in names)
    u_N3, v_N3 = a_N3 - b_N3, c_N3 - b_N3
    cosine_N = (u_N3 * v_N3).sum(1) / np.linalg.norm(u_N3, axis=1) / np.linalg.norm(v_N3, axis=1)
    return np.degrees(np.arccos(np.clip(cosine_N, -1, 1)))


@EACH
def test_count_group_and_label(name):
    poses = sample_synthetic(f"{name}?count=50&seed=3")
    assert len(poses) == 50 and set(poses.label_N) == {name}
    assert [int((poses.group_N == group).sum()) for group in "012"] == [20, 20, 10]
    assert poses.keypoints_NJ2.min() >= 0.0999 and poses.keypoints_NJ2.max() <= 0.9001


@EACH
def test_the_seed_alone_decides(name):
    first, again, other = (sample_synthetic(f"{name}?count=30&seed={s}").keypoints_NJ2 for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert len(sample_synthetic(name)) == 2000


@EACH
def test_limbs_have_the_lengths_of_an_adult(name):
    poses_NJ3 = world(name)
    for side in ("left", "right"):
        for part, ends in {
            "thigh": ("hip", "knee"),
            "shank": ("knee", "ankle"),
            "upper_arm": ("shoulder", "elbow"),
            "forearm": ("elbow", "wrist"),
        }.items():
            a_N3, b_N3 = (joint(poses_NJ3, f"{side}_{end}") for end in ends)
            np.testing.assert_allclose(np.linalg.norm(a_N3 - b_N3, axis=1), SEGMENTS[part], rtol=1e-6)


@EACH
def test_knees_bend_forward_and_elbows_back_and_neither_too_far(name):
    poses_NJ3 = world(name)
    for side in ("left", "right"):
        knee_N = angle(poses_NJ3, f"{side}_hip", f"{side}_knee", f"{side}_ankle")
        assert knee_N.min() > 40 and knee_N.max() < 179
        elbow_N = angle(poses_NJ3, f"{side}_shoulder", f"{side}_elbow", f"{side}_wrist")
        assert elbow_N.min() > 45 and elbow_N.max() < 179.5
        hip_N3, knee_N3, ankle_N3 = (joint(poses_NJ3, f"{side}_{part}") for part in ("hip", "knee", "ankle"))
        # Seen from the person's right with x ahead and y up, a knee that bends forward turns the leg clockwise.
        (ax_N, ay_N), (bx_N, by_N) = (knee_N3 - hip_N3)[:, :2].T, (ankle_N3 - knee_N3)[:, :2].T
        assert (ax_N * by_N - ay_N * bx_N < 1e-9).all()


def test_rowing_goes_from_a_bent_knee_to_a_straight_one_with_the_trunk_from_front_to_back():
    poses_NJ3 = world("rowing", 2000)
    knee_N = angle(poses_NJ3, "left_hip", "left_knee", "left_ankle")
    trunk_N3 = joint(poses_NJ3, "neck") - joint(poses_NJ3, "pelvis")
    lean_N = np.degrees(np.arctan2(trunk_N3[:, 0], trunk_N3[:, 1]))
    assert knee_N.min() < 65 and knee_N.max() > 160
    assert lean_N.min() < -15 and lean_N.max() > 20
    assert (lean_N[knee_N < 80] > 10).all()  # nobody leans back with bent knees
    elbow_N = angle(poses_NJ3, "left_shoulder", "left_elbow", "left_wrist")
    assert (elbow_N[knee_N < 80] > 160).all()  # nor pulls
    assert (np.abs(joint(poses_NJ3, "pelvis")[:, 1]) < 1e-9).all()  # the seat stays at one height


def test_cycling_feet_stand_half_a_turn_apart():
    poses_NJ3 = world("cycling")
    middle_N3 = (joint(poses_NJ3, "left_ankle") + joint(poses_NJ3, "right_ankle")) / 2
    arm_N3 = joint(poses_NJ3, "right_ankle") - middle_N3
    np.testing.assert_allclose(np.linalg.norm(arm_N3[:, :2], axis=1), 0.1, atol=0.01)


def test_persons_and_frames_differ():
    poses = sample_synthetic("rowing?count=400")
    assert len(np.unique(poses.keypoints_NJ2.reshape(400, -1), axis=0)) == 400
    spread_J2 = poses.keypoints_NJ2.std(0)
    assert spread_J2.mean() > 0.03


def test_annotation_noise_is_small(monkeypatch):
    noisy = sample_synthetic("rowing?count=100").keypoints_NJ2
    monkeypatch.setattr(synthetic, "NOISE_PX", 0.0)
    clean = sample_synthetic("rowing?count=100").keypoints_NJ2
    assert 0.001 < np.abs(noisy - clean).mean() < 0.02


@pytest.mark.parametrize(
    ("request_", "problem"),
    [
        ("juggling", r"unknown activity 'juggling' \(choose one of rowing, cycling, studio\)"),
        ("", "unknown activity ''"),
        ("rowing?count=0", "count is 0"),
        ("rowing?count=-3", "cannot use 'count=-3'"),
        ("rowing?count=many", "cannot use 'count=many'"),
        ("rowing?frames=3", r"cannot use 'frames=3' \(write synthetic:rowing\?count=2000&seed=0\)"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(request_, problem):
    with pytest.raises(ConfigError, match=problem):
        sample_synthetic(request_)
