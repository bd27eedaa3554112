import contextlib

import cdflib.cdfwrite
import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.formats.published.h36m import MOVING, action_of
from tests.sources.reading import joints, read

# The published numbers of the joints, by the data set's own names, written again from its description.
NUMBERS = {
    "pelvis": 0, "right_hip": 1, "right_knee": 2, "right_ankle": 3, "left_hip": 6, "left_knee": 7, "left_ankle": 8,
    "neck": 13, "head": 15, "left_shoulder": 17, "left_elbow": 18, "left_wrist": 19, "right_shoulder": 25,
    "right_elbow": 26, "right_wrist": 27,
}  # fmt: skip
POINTS_FJ2 = np.random.default_rng(0).integers(50, 900, (7, 32, 2)).astype(float)


def expected(points_J2, numbers=NUMBERS):
    return {joint: tuple(points_J2[i].tolist()) for joint, i in numbers.items()}


def write_cdf(path, array_FD):
    path.parent.mkdir(parents=True, exist_ok=True)
    spec = {"Variable": "Pose", "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True, "Dim_Sizes": list(array_FD.shape)}
    file = cdflib.cdfwrite.CDF(str(path), cdf_spec={"Compressed": 0}, delete=True)
    file.write_var(spec, var_data=array_FD[None].astype(np.float32))
    file.close()
    return path


@pytest.fixture
def published(tmp_path):
    """Two subjects as published: two cameras of a walk, and what no action is."""
    for subject, folder in (("S1", "MyPoseFeatures/D2_Positions"), ("S11", "Poses_D2_Positions")):
        for name in ("Walking 1.54138969", "TakingPhoto.55011271", "_ALL 1.54138969"):
            write_cdf(tmp_path / subject / folder / f"{name}.cdf", POINTS_FJ2.reshape(7, 64))
    return tmp_path


def test_published_files_give_every_joint_by_name(published):
    assert joints("h36m", published, 2) == expected(POINTS_FJ2[2])
    _, report = read("h36m", published)
    assert report.labels == {"Photo": 14, "Walking": 14} and (report.read, report.groups) == (28, 2)


def test_subjects_actions_and_frames_are_chosen(published):
    poses, _ = read("h36m", published, subjects="S11,S5", actions="walking", every="3")
    assert list(poses.group_N) == ["S11"] * 3
    np.testing.assert_allclose(poses.crop_N3[1], read("h36m", published)[0].crop_N3[3])
    with pytest.raises(ConfigError, match="every is '0'"):
        read("h36m", published, every="0")
    with pytest.raises(DataError, match="it is empty"):
        read("h36m", published, subjects="S2")


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("Directions 1.54138969.cdf", "Directions"),
        ("SittingDown.cdf", "SittingDown"),
        ("Sitting 2", "Sitting"),
        ("TakingPhoto 1", "Photo"),
        ("WalkingDog.60457274.cdf", "WalkDog"),
        ("Walking_1", "Walking"),
        ("_ALL 2.cdf", ""),
    ],
)
def test_actions_lose_take_and_camera_and_have_one_spelling(name, action):
    assert action_of(name) == action


def test_arrays_of_videopose3d_are_read_without_running_their_pickles(tmp_path):
    moving_FJ2 = POINTS_FJ2[:, list(MOVING)]
    poses = {"S9": {"Eating 2": [moving_FJ2.astype(np.float32), moving_FJ2 + 1]}}
    np.savez_compressed(tmp_path / "data_2d_h36m_gt.npz", positions_2d=poses, metadata={"num_joints": 17})
    for place in (tmp_path / "data_2d_h36m_gt.npz", tmp_path):
        assert joints("h36m", place, 4) == expected(POINTS_FJ2[4])
        assert read("h36m", place)[1].labels == {"Eating": 14}

    class Evil:
        def __reduce__(self):
            return (eval, ("1 / 0",))

    np.savez(tmp_path / "evil.npz", positions_2d=np.array(Evil(), object), metadata={})
    with pytest.raises(DataError, match=r"evil\.npz: not readable as published arrays: it asks for builtins\.eval"):
        read("h36m", tmp_path / "evil.npz")


def test_detections_in_cocos_order_are_told_by_their_layout(tmp_path):
    coco_FJ2 = POINTS_FJ2[:, :17]
    metadata = {"layout_name": "coco", "num_joints": 17}
    np.savez(tmp_path / "data_2d_custom.npz", positions_2d={"clip": {"custom": [coco_FJ2]}}, metadata=metadata)
    found = joints("h36m", tmp_path / "data_2d_custom.npz")
    assert found["head"] == tuple(coco_FJ2[0, 0]) and found["left_ankle"] == tuple(coco_FJ2[0, 15])
    assert found["right_wrist"] == tuple(coco_FJ2[0, 10])
    assert found["neck"] == tuple(np.round(coco_FJ2[0, 5:7].mean(0), 2))


def test_arrays_of_mmpose_are_read(tmp_path):
    part = np.concatenate([POINTS_FJ2[:, list(MOVING)], np.ones((7, 17, 1))], 2)
    part[3, 9, 2] = part[4, 0, 2] = 0  # the spine-nose, which is not needed, and the pelvis
    names = [f"S1/S1_Directions_1.54138969/S1_Directions_1.54138969_{i + 1:06d}.jpg" for i in range(7)]
    np.savez(tmp_path / "h36m_train.npz", imgname=np.array(names), part=part)
    assert joints("h36m", tmp_path) == expected(POINTS_FJ2[0])
    _, report = read("h36m", tmp_path)
    assert report.labels == {"Directions": 6} and report.dropped == {"joints missing": 1}


def test_the_simplified_sets_frames_are_shares_of_128_pixels(tmp_path):
    folder = tmp_path / "S5" / "Landmarks" / "greeting-1"
    folder.mkdir(parents=True)
    for frame in (1, 20, 3):
        points = POINTS_FJ2[0] / 1000
        scipy.io.savemat(folder / f"{frame}.mat", {"keypoints_2d": points.T if frame == 3 else points})
    found = joints("h36m", tmp_path)
    for joint, (x, y) in expected(POINTS_FJ2[0]).items():
        assert found[joint] == pytest.approx((x * 0.128, y * 0.128), abs=0.02)
    poses, report = read("h36m", tmp_path)
    assert report.labels == {"Greeting": 3} and set(poses.group_N) == {"S5"}


@pytest.fixture
def simplified(tmp_path):
    """Six frames of a subject's sequence, numbered without leading zeros, and one of another subject."""
    for subject, frames in (("S5", (2, 4, 6, 8, 10, 12)), ("S11", (1,))):
        folder = tmp_path / subject / "Landmarks" / "Walking-2"
        folder.mkdir(parents=True)
        for frame in frames:
            scipy.io.savemat(folder / f"{frame}.mat", {"keypoints_2d": POINTS_FJ2[frame % 7] / 1000})
    return tmp_path


def test_the_simplified_sets_frames_name_their_pictures_and_come_in_halves(simplified):
    def names(**options):
        poses, report = read("h36m", simplified, **options)
        return sorted(report.picture_N), sorted(set(poses.group_N))

    first, groups = names(subjects="S5", half="first", group="sequence")
    assert first == [f"S5/WithBackground/Walking-2/{frame}.jpg" for frame in (2, 4, 6)]
    assert groups == ["S5 Walking-2"]
    second, groups = names(subjects="S5", half="second")
    assert second == [f"S5/WithBackground/Walking-2/{frame}.jpg" for frame in (10, 12, 8)] and groups == ["S5"]
    assert names(every="4")[0] == [f"S5/WithBackground/Walking-2/{frame}.jpg" for frame in (12, 4, 8)]
    with pytest.raises(ConfigError, match="half is 'third', expected first or second"):
        names(half="third")
    with pytest.raises(ConfigError, match="group is 'camera', expected subject or sequence"):
        names(group="camera")


def test_sequences_of_arrays_have_halves_and_groups_too(published, tmp_path):
    first, _ = read("h36m", published, half="first", group="sequence")
    second, _ = read("h36m", published, half="second")
    assert (len(first), len(second)) == (4 * 3, 4 * 4)
    assert set(first.group_N) == {
        f"{subject} {name}.cdf" for subject in ("S1", "S11") for name in ("Walking 1.54138969", "TakingPhoto.55011271")
    }
    assert second.crop_N3[0].tolist() == read("h36m", published)[0].crop_N3[3].tolist()
    moving_FJ2 = POINTS_FJ2[:, list(MOVING)]
    np.savez(tmp_path / "data_2d_gt.npz", positions_2d={"S9": {"Eating": [moving_FJ2] * 2}}, metadata={})
    assert set(read("h36m", tmp_path / "data_2d_gt.npz", group="sequence")[0].group_N) == {"S9 Eating 1", "S9 Eating 2"}


def person():
    """Somebody who faces +x in the world of the set, z up, in mm; left is at +y."""
    at = {"head": (0, 0, 1700), "neck": (0, 0, 1450), "pelvis": (0, 0, 950)}
    for side, sign in (("left", 1), ("right", -1)):
        limbs = {"shoulder": (0, 200, 1400), "elbow": (-20, 250, 1100), "wrist": (20, 280, 900)}
        limbs |= {"hip": (0, 100, 950), "knee": (60, 100, 500), "ankle": (0, 100, 100)}
        at |= {f"{side}_{part}": (x, sign * y, z) for part, (x, y, z) in limbs.items()}
    world_J3 = np.zeros((32, 3))
    for joint, i in NUMBERS.items():
        world_J3[i] = at[joint]
    return np.tile(world_J3, (12, 1, 1))


def in_camera(world_FJ3):
    """What a camera at +x sees of it, looking back: x right is +y, y down is -z, z forward is -x."""
    return np.stack([world_FJ3[..., 1], -world_FJ3[..., 2], 4000 - world_FJ3[..., 0]], 2)


@pytest.mark.parametrize("form", ["D3_Positions", "D3_Positions_mono", "npz", "h5"])
def test_poses_in_3d_stand_upright_and_keep_their_sides(tmp_path, form):
    world_FJ3 = person()
    if form == "npz":
        np.savez(
            tmp_path / "data_3d_h36m.npz", positions_3d={"S7": {"Posing 1": (world_FJ3 / 1000).astype(np.float32)}}
        )
    elif form == "h5":
        folder = tmp_path / "S7" / "MyPoses" / "3D_positions"
        folder.mkdir(parents=True)
        with h5py.File(folder / "Posing 1.h5", "w") as file:
            file["3D_positions"] = world_FJ3.transpose(1, 2, 0).reshape(96, -1)
    else:
        name = "Posing 1.54138969.cdf" if "mono" in form else "Posing 1.cdf"
        seen_FJ3 = in_camera(world_FJ3) if "mono" in form else world_FJ3
        write_cdf(tmp_path / "S7" / "MyPoseFeatures" / form / name, seen_FJ3.reshape(12, 96))
    poses, report = read("h36m3d", tmp_path, cameras="random", seed="1")
    assert report.warnings == () and report.checks["upright in space"] == 1 == report.checks["knees bend forward"]
    assert report.labels == {"Posing": 12} and set(poses.group_N) == {"S7"}


def test_what_is_not_the_set_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none of D2_Positions/\*\.cdf"):
        read("h36m", tmp_path)
    with pytest.raises(DataError, match=r"none of D3_Positions/\*\.cdf"):
        read("h36m3d", tmp_path, cameras="fixed")
    write_cdf(tmp_path / "S1" / "D2_Positions" / "Walking.cdf", np.zeros((3, 60)))
    with pytest.raises(DataError, match=r"Pose is .*60.*, expected \(1, frames, 64\)"):
        read("h36m", tmp_path)
    np.savez(tmp_path / "data_2d_x.npz", positions_2d={"S1": {"Walking": [np.zeros((2, 5, 2))]}}, metadata={})
    with pytest.raises(DataError, match=r"found float64 \(2, 5, 2\), expected numbers \(frames, 17 or 32"):
        read("h36m", tmp_path / "data_2d_x.npz")
    np.savez(tmp_path / "data_2d_y.npz", positions_2d=[1], metadata={})
    with pytest.raises(DataError, match=r"no subjects with actions there|not readable"):
        read("h36m", tmp_path / "data_2d_y.npz")


@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=6)), max_size=4), kind=st.integers(0, 3))
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, changes, kind):
    path = tmp_path / "S1" / "D2_Positions" / "Walking.cdf"
    if kind == 0:
        write_cdf(path, POINTS_FJ2.reshape(7, 64))
    elif kind == 1:
        path = tmp_path / "data_2d_x.npz"
        np.savez(path, positions_2d={"S1": {"Walking": [POINTS_FJ2]}}, metadata={"layout_name": "coco"})
    elif kind == 2:
        path = tmp_path / "S1" / "Landmarks" / "walking" / "1.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(path, {"keypoints_2d": POINTS_FJ2[0] / 1000})
    else:
        path = tmp_path / "h36m_train.npz"
        np.savez(path, imgname=np.array(["S1/a.jpg"] * 7), part=POINTS_FJ2[:, :17])
    content = bytearray(path.read_bytes())
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        read("h36m", path)
