"""The gate: every reason against a pose made for it and against no other, in order, the same in every call."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from flexpose_ray.pose import gate as module
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.gate import REASONS, Gate, GateSettings
from flexpose_ray.pose.limits import PoseLimits
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats.synthetic import sample_synthetic

POSES_NJ2 = sample_synthetic("cycling?count=400").keypoints_NJ2
LIMITS = PoseLimits.of(POSES_NJ2, BODY_15)
GOOD_NJ2 = np.stack([POSES_NJ2[0], 0.5 + 0.9 * (POSES_NJ2[0] - 0.5), POSES_NJ2[0, :, :] + [0.1, 0]]).astype(np.float32)
NONE = np.empty((0, 15, 2), np.float32)
SETTINGS = GateSettings()


def refuse(images_NCHW):
    raise AssertionError("nothing was to be drawn")


def judge(poses_NJ2, confidence=0.9, shots=None, settings=SETTINGS, read=refuse, kept=NONE):
    poses_NJ2 = np.asarray(poses_NJ2, np.float32)
    confidence_NJ = np.broadcast_to(np.float32(confidence), poses_NJ2.shape[:2])
    return Gate(Alpha(size=16), LIMITS, shots, settings, read).judge(poses_NJ2, confidence_NJ, kept)


def reasons(*args, **changes):
    return [REASONS[i] if i >= 0 else None for i in judge(*args, **changes).reason_N]


def long_arm():
    pose_J2 = GOOD_NJ2[0].copy()
    pose_J2[5] += 6 * (pose_J2[5] - pose_J2[4]) + 0.2
    return pose_J2


def test_good_poses_pass():
    verdict = judge(GOOD_NJ2)
    assert verdict.reason_N.tolist() == [-1, -1, -1]
    assert (verdict.reason_N.dtype, verdict.nearest_shot_N.dtype) == (np.int8, np.float32)
    assert verdict.passes_N.all()
    assert np.isnan(verdict.nearest_shot_N).all()
    assert verdict.counts() == dict.fromkeys(REASONS, 0)


def test_poses_of_which_beta_is_not_sure_are_rejected():
    confidence = np.full((3, 15), 0.9)
    confidence[1] = 0.2
    confidence[2, :3] = 0.0  # a hidden limb is no reason
    assert reasons(GOOD_NJ2, confidence) == [None, "confidence", None]
    confidence[2, 0] = np.nan
    assert reasons(GOOD_NJ2, confidence) == [None, "confidence", "confidence"]


def test_impossible_limbs_are_rejected():
    assert reasons([GOOD_NJ2[0], long_arm()]) == [None, "limbs"]
    assert reasons([long_arm()], settings=replace(SETTINGS, margin=9.0)) == [None]


def test_impossible_angles_are_rejected(monkeypatch):
    monkeypatch.setattr(PoseLimits, "broken", lambda self, poses, margin: (poses[:, 0, 0] > 1, poses[:, 0, 1] > 1))
    poses_NJ2 = GOOD_NJ2.copy()
    poses_NJ2[1, 0, 1], poses_NJ2[2, 0] = 2, 2
    assert reasons(poses_NJ2) == [None, "angles", "limbs"]


def test_poses_that_are_not_read_back_from_their_drawing_are_rejected(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 2)
    drawn = []

    def read(images_NCHW):
        first = sum(len(images) for images in drawn)
        drawn.append(images_NCHW)
        keypoints_NJ2 = GOOD_NJ2[first : first + len(images_NCHW)].copy()
        if first == 0:
            keypoints_NJ2[1] += [0.1, 0]
        return keypoints_NJ2, None

    settings = replace(SETTINGS, round_trip=0.05)
    found = reasons([*GOOD_NJ2, long_arm()], settings=settings, read=read)
    assert found == [None, "round_trip", None, "limbs"]  # and what is rejected already is not drawn
    images_NCHW = torch.cat(drawn)
    assert images_NCHW.shape == (3, 3, 16, 16)
    torch.testing.assert_close(images_NCHW, Alpha(size=16).draw(torch.as_tensor(GOOD_NJ2)), atol=0.02, rtol=0)


def test_of_poses_nearly_alike_the_first_stays():
    near_J2 = GOOD_NJ2[0] + 0.002
    assert reasons([GOOD_NJ2[0], near_J2, GOOD_NJ2[1]]) == [None, "duplicate", None]
    assert reasons([near_J2, GOOD_NJ2[1]], kept=GOOD_NJ2[:1]) == ["duplicate", None]


def test_copies_of_shots_are_rejected_and_every_pose_gets_its_distance():
    shots = GOOD_NJ2[1:2]
    verdict = judge([GOOD_NJ2[0], shots[0] + [0.006, 0.008]], shots=shots)
    assert [REASONS[i] if i >= 0 else None for i in verdict.reason_N] == [None, "copy"]
    gap_J2 = GOOD_NJ2[0] - shots[0]
    wanted = np.linalg.norm(gap_J2, axis=1).mean()
    np.testing.assert_allclose(verdict.nearest_shot_N, [wanted, 0.01], rtol=1e-4)
    assert reasons([shots[0] + 0.01], shots=shots, settings=replace(SETTINGS, shot_copy=0.0)) == [None]


def test_shots_are_no_reason_against_their_like():
    shots = np.stack([long_arm(), 0.5 + 0.8 * (long_arm() - 0.5)])
    other_J2 = 0.5 + 0.9 * (long_arm() - 0.5)
    assert reasons([other_J2]) == ["limbs"]
    assert reasons([other_J2], shots=shots) == [None]


def test_the_first_reason_wins():
    poses_NJ2 = [long_arm(), long_arm(), GOOD_NJ2[0], GOOD_NJ2[0]]
    confidence = np.full((4, 15), 0.9)
    confidence[0] = 0.0
    assert reasons(poses_NJ2, confidence) == ["confidence", "limbs", None, "duplicate"]


def test_what_is_rejected_is_no_original():
    shots = GOOD_NJ2[:1]
    assert reasons([long_arm(), long_arm()]) == ["limbs", "limbs"]
    assert reasons([shots[0] + 0.01, shots[0] + 0.013], shots=shots) == ["copy", "copy"]


@pytest.mark.parametrize("mode", ["warn", "drop"])
def test_two_calls_with_what_passed_equal_one(mode):
    rng = np.random.default_rng(0)
    poses_NJ2 = POSES_NJ2[rng.integers(60, size=200)] + rng.normal(0, 0.004, (200, 1, 2)).astype(np.float32)
    poses_NJ2[::9] = np.roll(poses_NJ2[::9], 3, 1)
    settings, shots = GateSettings(mode), POSES_NJ2[100:103]
    whole = judge(poses_NJ2, shots=shots, settings=settings)
    assert {REASONS[i] for i in whole.reason_N[whole.reason_N >= 0]} >= {"limbs", "duplicate"}
    assert whole.counts()["limbs"] == (whole.reason_N == REASONS.index("limbs")).sum() >= 20
    first = judge(poses_NJ2[:77], shots=shots, settings=settings)
    second = judge(poses_NJ2[77:], shots=shots, settings=settings, kept=poses_NJ2[:77][first.passes_N])
    np.testing.assert_array_equal(np.concatenate([first.reason_N, second.reason_N]), whole.reason_N)
    np.testing.assert_array_equal(np.concatenate([first.nearest_shot_N, second.nearest_shot_N]), whole.nearest_shot_N)


def test_off_looks_at_nothing():
    verdict = judge([long_arm()] * 2, 0.0, GOOD_NJ2, GateSettings("off"))
    assert verdict.passes_N.all()
    assert np.isnan(verdict.nearest_shot_N).all()


def test_broken_numbers_are_rejected():
    assert reasons([np.full((15, 2), np.nan), GOOD_NJ2[0]], settings=replace(SETTINGS, confidence=0.0)) == [
        "limbs",
        None,
    ]


def test_nothing_is_judged_as_nothing():
    assert judge(NONE).reason_N.shape == (0,)
