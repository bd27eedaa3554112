import json

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.sources.formats.tools.mediapipe import NAMES
from tests.sources.reading import joints, read

PIXELS_S2 = np.random.default_rng(0).integers(10, 400, (33, 2)).astype(float)
# Numbers of landmarks, by MediaPipe's own picture of them.
NUMBERS = {
    "head": 0, "left_shoulder": 11, "right_shoulder": 12, "left_elbow": 13, "right_elbow": 14, "left_wrist": 15,
    "right_wrist": 16, "left_hip": 23, "right_hip": 24, "left_knee": 25, "right_knee": 26, "left_ankle": 27,
    "right_ankle": 28,
}  # fmt: skip


def landmarks(**changes):
    return [{"x": x / 640, "y": y / 480, "z": 0.1, "visibility": 0.9} | changes for x, y in PIXELS_S2]


FORMS = {
    "a list": landmarks(),
    "frames": [landmarks(), landmarks()],
    "of the web": {"poseLandmarks": landmarks(), "poseWorldLandmarks": landmarks(x=1.0)},
    "results": {"frames": [{"pose_landmarks": [landmarks()], "world_landmarks": [landmarks(x=2.0)]}]},
}


@pytest.mark.parametrize("form", FORMS)
def test_every_joint_is_read_by_name(tmp_path, form):
    (tmp_path / "p.json").write_text(json.dumps(FORMS[form]))
    found = joints("mediapipe", tmp_path / "p.json", size="640x480")
    for joint, i in NUMBERS.items():
        assert found[joint] == pytest.approx(tuple(PIXELS_S2[i]), abs=0.02), joint
    assert read("mediapipe", tmp_path / "p.json", size="640x480")[1].kept == 1 + (form == "frames")
    with pytest.raises(DataError, match=r"between 0 and 1.*size=640x480"):
        read("mediapipe", tmp_path / "p.json")


def test_names_agree_with_the_published_numbers():
    assert len(NAMES) == 33 and NAMES[31:] == ["left_foot_index", "right_foot_index"]


def test_unseen_landmarks_are_gaps(tmp_path):
    unseen = landmarks()
    unseen[25]["visibility"] = 0.1
    (tmp_path / "p.json").write_text(json.dumps([landmarks(), unseen, landmarks(x="far")]))
    assert read("mediapipe", tmp_path / "p.json", size="640x480")[1].dropped == {"joints missing": 2}


@pytest.mark.parametrize(("count", "told"), [(468, "lists of 468 points"), (21, "lists of 21"), (0, "no landmarks")])
def test_faces_and_hands_are_refused(tmp_path, count, told):
    (tmp_path / "p.json").write_text(json.dumps({"landmarks": [{"x": 0.1, "y": 0.2}] * count}))
    with pytest.raises(DataError, match=f"found {told}.*expected 33"):
        read("mediapipe", tmp_path / "p.json")


def test_lists_in_lists_without_end_are_refused(tmp_path):
    (tmp_path / "p.json").write_text("[" * 100_000)
    with pytest.raises(DataError, match=r"p\.json.*(brackets in brackets|broken JSON)"):
        read("mediapipe", tmp_path / "p.json")
