import contextlib

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import ConfigError, DataError
from tests.sources.reading import joints, read

# The published numbers, written again from the set's own list of its joints.
OF_28 = {
    "pelvis": 4, "neck": 5, "head": 7, "left_shoulder": 9, "left_elbow": 10, "left_wrist": 11, "right_shoulder": 14,
    "right_elbow": 15, "right_wrist": 16, "left_hip": 18, "left_knee": 19, "left_ankle": 20, "right_hip": 23,
    "right_knee": 24, "right_ankle": 25,
}  # fmt: skip
OF_17 = {
    "head": 0, "neck": 1, "right_shoulder": 2, "right_elbow": 3, "right_wrist": 4, "left_shoulder": 5, "left_elbow": 6,
    "left_wrist": 7, "right_hip": 8, "right_knee": 9, "right_ankle": 10, "left_hip": 11, "left_knee": 12,
    "left_ankle": 13, "pelvis": 14,
}  # fmt: skip
RNG = np.random.default_rng(0)
TRAINING_FS2, TEST_FS2 = (RNG.integers(10, 2000, (5, n, 2)).astype(float) for n in (28, 17))


def expected(points_S2, numbers):
    return {joint: tuple(points_S2[i].tolist()) for joint, i in numbers.items()}


@pytest.fixture
def training(tmp_path):
    """A subject's sequence: camera c sees everything c pixels further right."""
    cells = np.empty((14, 1), object)
    for view in range(14):
        cells[view, 0] = (TRAINING_FS2 + np.array([view, 0])).reshape(5, 56)
    (tmp_path / "S3" / "Seq2").mkdir(parents=True)
    scipy.io.savemat(tmp_path / "S3" / "Seq2" / "annot.mat", {"annot2": cells, "frames": np.arange(5)[:, None]})
    return tmp_path


@pytest.fixture
def test_set(tmp_path):
    (tmp_path / "TS5").mkdir()
    with h5py.File(tmp_path / "TS5" / "annot_data.mat", "w") as file:
        file["annot2"] = TEST_FS2[:, None]
        file["valid_frame"] = np.array([[1], [0], [1], [1], [0]])
        file["activity_annotation"] = np.array([[1], [1], [2], [7], [7]])
    return tmp_path


def test_training_files_give_every_joint_by_name(training):
    assert joints("mpi_inf_3dhp", training, 3) == expected(TRAINING_FS2[3], OF_28)
    poses, report = read("mpi_inf_3dhp", training)
    assert report.read == 5 * 8 and set(poses.group_N) == {"S3"}
    assert report.checks["joints outside the picture"] == 0


def test_views_subjects_and_frames_are_chosen(training):
    poses, report = read("mpi_inf_3dhp", training, views="9,3", every="2", subjects="S3,S4")
    assert report.read == 6
    whole, _ = read("mpi_inf_3dhp", training, views="0")
    np.testing.assert_allclose(poses.crop_N3[:3, 1], whole.crop_N3[::2, 1] + 9, atol=1e-3)
    with pytest.raises(DataError, match="it is empty"):
        read("mpi_inf_3dhp", training, subjects="S1")
    with pytest.raises(ConfigError, match="views 'all'"):
        read("mpi_inf_3dhp", training, views="all")


def test_valid_frames_of_the_test_set_give_every_joint_by_name(test_set):
    assert joints("mpi_inf_3dhp", test_set, 1) == expected(TEST_FS2[2], OF_17)
    _, report = read("mpi_inf_3dhp", test_set)
    assert report.dropped == {"not valid frames": 2} and report.kept == 3
    assert report.labels == {"activity 1": 1, "activity 2": 1, "activity 7": 1}
    assert report.checks["joints outside the picture"] > 0  # of a picture 1,080 high


def test_arrays_of_mmpose_are_read(tmp_path):
    part = np.concatenate([TEST_FS2, np.ones((5, 17, 1))], 2)
    part[2, 14, 2] = 0
    names = np.array([f"S4_Seq2_Cam0_{i:06d}.jpg" for i in range(4)] + ["TS1_000001.jpg"])
    np.savez(tmp_path / "mpi_inf_3dhp_train.npz", imgname=names, part=part)
    assert joints("mpi_inf_3dhp", tmp_path) == expected(TEST_FS2[0], OF_17)
    poses, report = read("mpi_inf_3dhp", tmp_path)
    assert report.dropped == {"joints missing": 1} and sorted(set(poses.group_N)) == ["S4", "TS1"]
    assert read("mpi_inf_3dhp", tmp_path, subjects="TS1")[1].kept == 1


def test_what_is_not_the_set_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no S1/Seq1/annot\.mat"):
        read("mpi_inf_3dhp", tmp_path)
    cells = np.empty((14, 1), object)
    cells[:, 0] = [np.zeros((2, 50))] * 14
    (tmp_path / "S1" / "Seq1").mkdir(parents=True)
    scipy.io.savemat(tmp_path / "S1" / "Seq1" / "annot.mat", {"annot2": cells})
    with pytest.raises(DataError, match=r"annot2 of view 0 is \(2, 50\), expected \(frames, 56\)"):
        read("mpi_inf_3dhp", tmp_path)


@given(changes=st.lists(st.tuples(st.integers(0, 10_000), st.binary(max_size=6)), max_size=4), kind=st.booleans())
def test_damaged_files_are_read_or_refused_in_one_line(training, test_set, changes, kind):
    path = training / "S3" / "Seq2" / "annot.mat" if kind else test_set / "TS5" / "annot_data.mat"
    whole = path.read_bytes()
    content = bytearray(whole)
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    try:
        path.write_bytes(bytes(content))
        with contextlib.suppress(DataError):
            read("mpi_inf_3dhp", path)
    finally:
        path.write_bytes(whole)
