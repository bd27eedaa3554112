import numpy as np
import pytest
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats.published.lsp import JOINTS, read_lsp


def read(path):
    return to_pose_set(path, read_lsp(path))


def people(count=3, flag=0.0):
    joints_NS3 = np.random.default_rng(0).uniform(0, 200, (count, 14, 3))
    joints_NS3[..., 2] = flag
    return joints_NS3


def write(path, joints_NS3, order):
    scipy.io.savemat(path, {"joints": np.transpose(joints_NS3, order)})
    return path


LSP, LSPET = (2, 1, 0), (1, 2, 0)


@pytest.mark.parametrize(("order", "flag"), [(LSP, 0.0), (LSPET, 1.0)])
def test_both_layouts_give_the_same_poses(tmp_path, order, flag):
    given = people(flag=flag)
    poses, report = read(write(tmp_path / "joints.mat", given, order))
    at = dict(zip(JOINTS, given[1, :, :2], strict=True))
    at |= {"head": at["head_top"], "pelvis": (at["left_hip"] + at["right_hip"]) / 2}
    expected_J2 = np.array([at[joint] for joint in BODY_15.joints])
    np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3)[1], expected_J2, atol=1e-3)
    assert list(poses.group_N) == ["1", "2", "3"] and report.kept == 3


def test_the_flag_of_lsp_says_occluded_and_drops_nobody(tmp_path):
    assert len(read(write(tmp_path / "joints.mat", people(flag=1.0), LSP))[0]) == 3


def test_the_flag_of_lspet_says_labelled_and_drops_whom_a_joint_lacks(tmp_path):
    given = people(flag=1.0)
    given[1, 5, 2] = 0
    poses, report = read(write(tmp_path / "joints.mat", given, LSPET))
    assert list(poses.group_N) == ["1", "3"] and report.dropped == {"joints missing": 1}


def test_another_shape_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"joints are \(14, 2, 3\), expected \(3, 14, N\) or \(14, 3, N\)"):
        read(write(tmp_path / "joints.mat", people()[..., :2], LSPET))


def test_files_of_another_kind_are_refused(tmp_path):
    scipy.io.savemat(tmp_path / "other.mat", {"x": 1})
    with pytest.raises(DataError, match=r"other\.mat: no numbers `joints` there"):
        read(tmp_path / "other.mat")
    (tmp_path / "text.mat").write_text("no MATLAB")
    with pytest.raises(DataError, match=r"text\.mat: not a readable MATLAB file"):
        read(tmp_path / "text.mat")


def test_a_pose_with_a_gap_is_dropped(tmp_path):
    given = people()
    given[2, JOINTS.index("neck"), 0] = np.nan
    assert read(write(tmp_path / "joints.mat", given, LSP))[1].dropped == {"joints missing": 1}


@pytest.mark.parametrize(
    ("folder", "persons", "kept", "last"), [("lsp", 1000, 1000, "1000"), ("lspet", 10_000, 3191, "9999")]
)
def test_the_real_sets_give_their_complete_persons(real_data, folder, persons, kept, last):
    poses, report = read(real_data / folder / "joints.mat")
    assert (report.read, report.kept) == (persons, kept)
    assert int(poses.group_N[-1]) <= int(last)
    sides = [poses.keypoints_NJ2[:, BODY_15.joints.index(f"{part}_ankle"), 1] for part in ("left", "right")]
    assert (poses.keypoints_NJ2[:, 0, 1] < np.mean(sides, 0)).mean() > 0.65  # extreme poses, but most are upright
