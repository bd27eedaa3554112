import io
import pickle
import tarfile

import numpy as np
import pytest
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats.published.penn import JOINTS
from tests.sources.reading import read as read_kind


def read(path):
    return read_kind("penn", path)


def video(action="squat", frames=4, joints=13, seed=0, dtype=np.float64, **changes):
    points_FS2 = np.random.default_rng(seed).integers(20, 250, (frames, joints, 2)).astype(dtype)
    return {"action": action, "x": points_FS2[..., 0], "y": points_FS2[..., 1], "nframes": frames} | changes


def write(folder, **videos):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in videos.items():
        scipy.io.savemat(folder / f"{name.strip('_')}.mat", content)
    return folder


def test_frames_become_poses_with_video_and_action(tmp_path):
    first, second = video("squat"), video("bowl", frames=3, seed=1, dtype=np.uint8)
    poses, report = read(write(tmp_path, _0002=first, _0011=second))
    assert list(poses.group_N) == ["0002"] * 4 + ["0011"] * 3
    assert list(poses.label_N) == ["squat"] * 4 + ["bowl"] * 3
    assert (report.read, report.kept, report.groups, report.labels) == (7, 7, 2, {"bowl": 3, "squat": 4})
    points = {name: np.array([second["x"][2, i], second["y"][2, i]], float) for i, name in enumerate(JOINTS)}
    points["neck"] = (points["left_shoulder"] + points["right_shoulder"]) / 2
    points["pelvis"] = (points["left_hip"] + points["right_hip"]) / 2
    pixels_J2 = uncrop(poses.keypoints_NJ2, poses.crop_N3)[6]
    np.testing.assert_allclose(pixels_J2, [points[joint] for joint in BODY_15.joints], atol=1e-3)


def test_columns_are_the_right_side_first(tmp_path):
    points_FS2 = np.stack([np.arange(20.0, 33), np.arange(40.0, 53) ** 1.1], 1)[None]
    content = {"action": "squat", "x": points_FS2[..., 0], "y": points_FS2[..., 1]}
    poses, _ = read(write(tmp_path, _0001=content))
    pixels_J2 = dict(zip(BODY_15.joints, uncrop(poses.keypoints_NJ2, poses.crop_N3)[0], strict=True))
    columns = {"head": 0, "right_shoulder": 1, "left_shoulder": 2, "right_elbow": 3, "left_elbow": 4}
    columns |= {"right_wrist": 5, "left_wrist": 6, "right_hip": 7, "left_hip": 8, "right_knee": 9, "left_knee": 10}
    for joint, column in (columns | {"right_ankle": 11, "left_ankle": 12}).items():
        np.testing.assert_allclose(pixels_J2[joint], points_FS2[0, column], atol=1e-3, err_msg=joint)


@pytest.mark.parametrize("mark", [1.0, 2 / 3, 1.5])
def test_a_joint_at_the_rescaled_mark_is_missing(tmp_path, mark):
    content = video()
    content["x"][1, 5] = content["y"][1, 5] = mark
    content["x"][2, 5] = mark  # at the left edge only: a real joint
    poses, report = read(write(tmp_path, _0001=content))
    assert len(poses) == 3 and report.dropped == {"joints missing": 1}


def test_a_parent_folder_and_a_tar_read_the_same(tmp_path):
    labels = write(tmp_path / "set" / "labels", _0002=video(), _0001=video("bowl", seed=2))
    with tarfile.open(tmp_path / "labels.tar", "w") as archive:
        archive.add(labels, "labels")
    expected, _ = read(labels)
    for path in (tmp_path / "set", tmp_path / "labels.tar"):
        poses, _ = read(path)
        np.testing.assert_array_equal(poses.keypoints_NJ2, expected.keypoints_NJ2)
        np.testing.assert_array_equal(poses.group_N, expected.group_N)


def test_a_folder_without_videos_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no NNNN\.mat files there.*labels"):
        read(tmp_path)


def test_a_file_that_is_no_tar_is_refused(tmp_path):
    path = tmp_path / "labels.tar"
    path.write_bytes(b"not a tar" * 100)
    with pytest.raises(DataError, match=r"labels\.tar: not a readable \.tar"):
        read(path)


@pytest.mark.parametrize("keep", [0, 100, 300])
def test_a_damaged_video_is_named(tmp_path, keep):
    file = write(tmp_path, _0007=video()) / "0007.mat"
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"0007\.mat: "):
        read(tmp_path)


def test_a_pickle_in_a_videos_place_is_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path / "sprung").mkdir, ()

    (tmp_path / "0001.mat").write_bytes(pickle.dumps(Trap()) + bytes(200))
    with pytest.raises(DataError, match=r"0001\.mat: not a readable MATLAB file"):
        read(tmp_path)
    assert not (tmp_path / "sprung").exists()


def test_missing_fields_are_named(tmp_path):
    with pytest.raises(DataError, match=r"0001\.mat: x, y or action is missing"):
        read(write(tmp_path, _0001={"x": np.zeros((2, 13))}))


@pytest.mark.parametrize("content", [video(joints=16), video(y=np.zeros((4, 12)))])
def test_a_wrong_number_of_joints_names_the_video(tmp_path, content):
    with pytest.raises(DataError, match=r"0003\.mat: x is .*, expected \(frames, 13\)"):
        read(write(tmp_path, _0001=video(), _0003=content))


def test_a_frame_with_a_gap_is_dropped(tmp_path):
    content = video()
    content["y"][2, JOINTS.index("right_wrist")] = np.nan
    assert read(write(tmp_path, _0004=content))[1].dropped == {"joints missing": 1}


def test_members_of_a_tar_are_not_unpacked(tmp_path):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, video())
    member = tarfile.TarInfo("../../0001.mat")
    member.size = buffer.tell()
    with tarfile.open(tmp_path / "labels.tar", "w") as archive:
        archive.addfile(member, io.BytesIO(buffer.getvalue()))
    poses, _ = read(tmp_path / "labels.tar")
    assert set(poses.group_N) == {"0001"} and [p.name for p in tmp_path.iterdir()] == ["labels.tar"]


# frames that are complete once the rescaled marks of missing joints are known for what they are
REAL = {
    "baseball_pitch": 8707, "baseball_swing": 4973, "bench_press": 425, "bowl": 7461, "clean_and_jerk": 10_090,
    "golf_swing": 4869, "jump_rope": 1385, "jumping_jacks": 1526, "pullup": 4482, "pushup": 1332, "situp": 715,
    "squat": 3619, "strum_guitar": 33, "tennis_forehand": 3682, "tennis_serve": 7366,
}  # fmt: skip


@pytest.mark.parametrize(("action", "facing"), [("clean_and_jerk", True), ("squat", True), ("bowl", False)])
def test_people_who_face_the_camera_have_their_left_side_on_the_pictures_right(real_data, action, facing):
    poses, _ = read(real_data / "penn_action" / "labels_train.tar")
    x_NJ = poses.take(poses.label_N == action).keypoints_NJ2[..., 0]
    for part in ("shoulder", "hip"):
        left, right = (BODY_15.joints.index(f"{side}_{part}") for side in ("left", "right"))
        share = (x_NJ[:, left] > x_NJ[:, right]).mean()
        assert share > 0.95 if facing else share < 0.1


def test_the_real_set_gives_its_frames_per_action(real_data):
    poses, report = read(real_data / "penn_action" / "labels_train.tar")
    assert (report.read, report.labels) == (87_543, REAL)
    assert report.groups == 886 and poses.group_N[0] == "0002"
    assert poses.keypoints_NJ2.min() >= 0.0999 and poses.keypoints_NJ2.max() <= 0.9001
