"""Limits of limbs and angles: kept by what is like the source, broken by what is not, the same left and right."""

import numpy as np
import pytest

from flexpose_ray.pose import limits
from flexpose_ray.pose.geometry import flip
from flexpose_ray.pose.limits import BINS, RARE, PoseLimits, limb_pairs
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.formats.synthetic import sample_synthetic

SOURCE_NJ2 = sample_synthetic("cycling?count=600").keypoints_NJ2
LIMITS = PoseLimits.of(SOURCE_NJ2[:500], BODY_15)
MARGIN = 0.02
ELBOW, WRIST = BODY_15.joints.index("left_elbow"), BODY_15.joints.index("left_wrist")


def faces(count=200):
    """Points on rings around the canvas' middle, in the landmarks' order, with a little noise."""
    rng = np.random.default_rng(0)
    turn_J = np.linspace(0, 6 * np.pi, 68)
    ring_J2 = np.stack([np.cos(turn_J), np.sin(turn_J)], 1) * np.linspace(0.4, 0.1, 68)[:, None]
    ring_J2 = (ring_J2 + flip(ring_J2[None] + 0.5, FACE_68)[0] - 0.5) / 2  # as symmetric as a face
    return (0.5 + ring_J2 + rng.normal(0, 0.004, (count, 68, 2))).astype(np.float32)


def broken(poses_NJ2, of=LIMITS, margin=MARGIN):
    return [found_N.tolist() for found_N in of.broken(np.asarray(poses_NJ2), margin)]


def with_wrist(pose_J2, move_2):
    pose_J2 = pose_J2.copy()
    pose_J2[WRIST] = move_2
    return pose_J2


def test_rare_poses_of_the_source_break_limits_and_new_ones_of_its_kind_hardly_more():
    both_sides_NJ2 = np.concatenate([SOURCE_NJ2[:500], flip(SOURCE_NJ2[:500], BODY_15)])
    for poses_NJ2, margin in ((both_sides_NJ2, 0.0), (SOURCE_NJ2[500:], MARGIN)):
        for found_N in LIMITS.broken(poses_NJ2, margin):
            assert found_N.mean() <= 2 * RARE
    assert LIMITS.broken(SOURCE_NJ2[:500])[0].any()  # so the limits are no wider than they need be


def test_a_limb_that_is_too_long_breaks_the_lengths():
    pose_J2 = SOURCE_NJ2[0]
    along_2 = pose_J2[WRIST] - pose_J2[ELBOW]
    longer_J2 = with_wrist(pose_J2, pose_J2[ELBOW] + 4 * along_2)
    assert broken([pose_J2, longer_J2])[0] == [False, True]


def test_a_pose_that_shrank_to_a_spot_breaks_the_lengths():
    assert broken([0.5 + 0.05 * (SOURCE_NJ2[0] - 0.5)])[0] == [True]


def test_a_joint_bent_as_never_before_breaks_the_angles():
    straight_NJ2 = SOURCE_NJ2[:300].copy()  # every forearm goes on where its upper arm pointed
    for shoulder, elbow, wrist in ((3, 4, 5), (6, 7, 8)):
        straight_NJ2[:, elbow] = straight_NJ2[:, shoulder] + [0.0, 0.15]
        straight_NJ2[:, wrist] = straight_NJ2[:, elbow] + [0.0, 0.15]
        straight_NJ2[::2, wrist, 0] += 0.05
        straight_NJ2[1::2, wrist, 0] -= 0.05
    of = PoseLimits.of(straight_NJ2, BODY_15)
    folded_J2 = with_wrist(straight_NJ2[0], straight_NJ2[0, ELBOW] + [0.05, -0.15])
    assert broken([straight_NJ2[0], folded_J2], of) == [[False, False], [False, True]]
    assert broken([folded_J2], of.widened(folded_J2[None]))[1] == [False]
    assert broken([folded_J2], of, margin=0.2)[1] == [False]  # its ends are no further than that from a straight arm


def test_short_limbs_may_point_anywhere_within_the_margin():
    pose_J2 = SOURCE_NJ2[0]
    closed = PoseLimits(BODY_15, LIMITS.lengths_F2, np.eye(1, BINS, dtype=bool).repeat(len(LIMITS.angles_PB), 0))
    assert broken([pose_J2], closed)[1] == [True]
    assert broken([0.5 + 0.05 * (pose_J2 - 0.5)], closed)[1] == [False]
    assert broken([0.5 + 0.05 * (pose_J2 - 0.5)], closed, MARGIN / 20)[1] == [True]


def test_an_angle_that_is_a_definition_is_no_limit():
    ends = [{*BODY_15.limbs[one]} ^ {*BODY_15.limbs[other]} for one, other, _ in limb_pairs(BODY_15).tolist()]
    neck_pair = ends.index({3, 6})  # between the shoulders
    poses_NJ2 = SOURCE_NJ2.copy()
    poses_NJ2[:, 1] = (poses_NJ2[:, 3] + poses_NJ2[:, 6]) / 2
    assert PoseLimits.of(poses_NJ2, BODY_15).angles_PB[neck_pair].all()


def test_a_pose_that_is_not_finite_breaks_limits():
    assert broken(np.full((1, 15, 2), np.nan))[0] == [True]


@pytest.mark.parametrize("of", [LIMITS, LIMITS.widened(sample_synthetic("rowing?count=6").keypoints_NJ2)])
def test_limits_are_the_same_on_the_left_and_on_the_right(of):
    mirror = [BODY_15.flip[j] for j in range(15)]
    at = {frozenset(limb): i for i, limb in enumerate(BODY_15.limbs)}
    for (a, b), row_2 in zip(BODY_15.limbs, of.lengths_F2[:-1], strict=True):
        np.testing.assert_allclose(row_2, of.lengths_F2[at[frozenset((mirror[a], mirror[b]))]], atol=1e-6)
    poses_NJ2 = sample_synthetic("rowing?count=200").keypoints_NJ2
    for margin in (0.0, MARGIN):
        for one_N, other_N in zip(
            of.broken(poses_NJ2, margin), of.broken(flip(poses_NJ2, BODY_15), margin), strict=True
        ):
            assert (one_N != other_N).mean() <= 0.01  # a bin's edge falls to one side
            assert margin or one_N.any()


def test_shots_are_within_the_limits_that_they_widened_and_so_are_their_like():
    target_NJ2 = SOURCE_NJ2[:, :].copy()
    target_NJ2[:, 0] = target_NJ2[:, 1] + 3 * (target_NJ2[:, 0] - target_NJ2[:, 1])  # a head far above the neck
    assert LIMITS.broken(target_NJ2, MARGIN)[0].mean() > 0.9
    of = LIMITS.widened(target_NJ2[:12])
    assert not np.any(of.broken(target_NJ2[:12]))
    assert np.mean(of.broken(target_NJ2[500:], MARGIN)) < 0.05
    assert np.mean(of.broken(SOURCE_NJ2[500:], MARGIN)) < 0.05  # and nothing of the source is lost
    assert (of.angles_PB >= LIMITS.angles_PB).all()


@pytest.mark.parametrize("skeleton", [BODY_15, FACE_68])
def test_measures_are_those_of_the_definition(skeleton):
    rng = np.random.default_rng(0)
    poses_NJ2 = rng.random((50, skeleton.n_joints, 2)).astype(np.float32)
    seen, pairs = limits._measure(poses_NJ2, skeleton), limb_pairs(skeleton).tolist()
    assert len(pairs) > 16
    for n, pose_J2 in enumerate(poses_NJ2.astype(np.float64)):
        scale = np.median(np.linalg.norm(pose_J2 - np.median(pose_J2, 0), axis=1))
        length_L = np.array([np.linalg.norm(pose_J2[b] - pose_J2[a]) for a, b in skeleton.limbs])
        np.testing.assert_allclose(seen.shares_FN[:, n], [*(length_L / scale), scale])
        for p, (one, other, _) in enumerate(pairs):
            (joint,) = {*skeleton.limbs[one]} & {*skeleton.limbs[other]}
            ends = [sum(skeleton.limbs[limb]) - joint for limb in (one, other)]
            (ax, ay), (bx, by) = (pose_J2[end] - pose_J2[joint] for end in ends)
            angle = np.arctan2(ax * by - ay * bx, ax * bx + ay * by)
            assert abs(angle - seen.bins_PN[p, n] * np.radians(5)) <= np.radians(2.5) + 1e-9
            np.testing.assert_allclose(seen.turn_PN[p, n], (1 / length_L[[one, other]]).sum())
            assert seen.clear_PN[p, n] == (length_L[[one, other]].min() >= limits.SHORT * scale)


def test_many_poses_are_judged_as_one_by_one(monkeypatch):
    monkeypatch.setattr(limits, "PART", 7)
    poses_NJ2 = SOURCE_NJ2[:30] + np.random.default_rng(0).normal(0, 0.03, (30, 15, 2))
    found = LIMITS.broken(poses_NJ2)
    assert 0 < found[0].sum() < 30
    for n, pose_J2 in enumerate(poses_NJ2):
        assert [found_N[n] for found_N in found] == [one_N[0] for one_N in LIMITS.broken(pose_J2[None])]
    assert [found_N.shape for found_N in LIMITS.broken(poses_NJ2[:0])] == [(0,), (0,)]


def test_faces_have_limits_too():
    poses_NJ2 = faces()
    of = PoseLimits.of(poses_NJ2[:150], FACE_68)
    assert np.mean(of.broken(poses_NJ2[150:], 0.01)) < 0.05
    rng = np.random.default_rng(1)
    shuffled_NJ2 = np.stack([pose_J2[rng.permutation(68)] for pose_J2 in poses_NJ2])
    assert np.all(of.broken(shuffled_NJ2, 0.01))


def test_a_large_source_is_thinned_out(monkeypatch):
    monkeypatch.setattr(limits, "MOST", 200)
    thin = PoseLimits.of(SOURCE_NJ2, BODY_15)
    np.testing.assert_array_equal(thin.lengths_F2, PoseLimits.of(SOURCE_NJ2[::3], BODY_15).lengths_F2)


def test_limits_go_to_tensors_and_back():
    back = PoseLimits.from_tensors(LIMITS.tensors(), BODY_15)
    assert back.skeleton is BODY_15
    np.testing.assert_array_equal(back.lengths_F2, LIMITS.lengths_F2)
    np.testing.assert_array_equal(back.angles_PB, LIMITS.angles_PB)
    with pytest.raises(KeyError, match=r"gate\.lengths"):
        PoseLimits.from_tensors({}, BODY_15)
