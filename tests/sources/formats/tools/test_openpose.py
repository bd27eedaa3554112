import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import DataError
from tests.sources.reading import joints, read

# Numbers of joints, by OpenPose's own pictures of its outputs.
SHARED = {
    "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4, "left_shoulder": 5, "left_elbow": 6,
    "left_wrist": 7,
}  # fmt: skip
LEGS_25 = {"right_hip": 9, "right_knee": 10, "right_ankle": 11, "left_hip": 12, "left_knee": 13, "left_ankle": 14}
LEGS_18 = {"right_hip": 8, "right_knee": 9, "right_ankle": 10, "left_hip": 11, "left_knee": 12, "left_ankle": 13}
NUMBERS = {25: SHARED | LEGS_25, 18: SHARED | LEGS_18, 15: SHARED | LEGS_18}


KEYS = ("people", "pose_keypoints_2d")


def person(count, seed=0):
    points_S2 = np.random.default_rng(seed).integers(10, 400, (count, 2)).astype(float)
    return points_S2, {"person_id": [-1], "pose_keypoints_2d": [v for x, y in points_S2 for v in (x, y, 0.9)]}


def write(folder, people, name="clip_000000000001_keypoints.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps({"version": 1.3, "people": people}))
    return folder


@pytest.mark.parametrize("count", [25, 18, 15])
def test_every_model_gives_every_joint_by_name(tmp_path, count):
    points_S2, given_person = person(count)
    found = joints("openpose", write(tmp_path, [given_person]))
    assert {joint: found[joint] for joint in NUMBERS[count]} == {
        joint: tuple(points_S2[i]) for joint, i in NUMBERS[count].items()
    }
    assert found["head"] == tuple(points_S2[0])
    hips = points_S2[8] if count == 25 else (points_S2[8] + points_S2[11]) / 2
    assert found["pelvis"] == tuple(hips)


def test_frames_of_a_video_are_one_group_and_other_json_is_left_out(tmp_path):
    for k in range(3):
        write(tmp_path, [person(25, k)[1], person(25, 9 + k)[1]], f"walk_{k:012d}_keypoints.json")
    write(tmp_path / "b", [person(25)[1]], "run_000000000000_keypoints.json")
    (tmp_path / "settings.json").write_text("{}")
    poses, report = read("openpose", tmp_path)
    assert report.kept == 7 and sorted(set(poses.group_N)) == ["b/run", "walk"]


def test_zeros_and_little_confidence_are_gaps(tmp_path):
    _, sure = person(25)
    unsure, none = json.loads(json.dumps([sure, sure]))
    unsure["pose_keypoints_2d"][3 * 4 + 2] = 0.1
    none["pose_keypoints_2d"][12:15] = [0, 0, 0]
    write(tmp_path, [sure, unsure, none])
    assert read("openpose", tmp_path)[1].dropped == {"joints missing": 2}
    assert read("openpose", tmp_path, min_confidence="0.05")[1].kept == 2


def test_a_person_of_other_joints_is_named(tmp_path):
    with pytest.raises(DataError, match=r"person 1: found 12 numbers, expected 75, 54 or 45"):
        read("openpose", write(tmp_path, [person(25)[1], {"pose_keypoints_2d": [1] * 12}]))
    with pytest.raises(DataError, match='no list "people"'):
        write(tmp_path, 3)
        read("openpose", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \*_keypoints\.json there"):
        read("openpose", tmp_path / "empty")


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["people", "pose_keypoints_2d"]), inner)
        ),
        max_leaves=8,
    )
)
def test_json_of_any_shape_is_read_or_refused_in_one_line(tmp_path, value):
    for content in (value, {"people": value}, {"people": [person(25)[1], value]}):
        (tmp_path / "a_keypoints.json").write_text(json.dumps(content))
        try:
            read("openpose", tmp_path)
        except DataError as e:
            assert "\n" not in str(e)
