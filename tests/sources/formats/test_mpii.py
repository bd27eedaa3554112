import gzip

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats.mpii import JOINTS, read_mpii
from flexpose_ray.sources.read import read_source


def read(path):
    return to_pose_set(path, read_mpii(path))


def points(seed=0):
    return np.random.default_rng(seed).integers(10, 500, (16, 2)).astype(float)


@pytest.fixture
def write(tmp_path):
    def write(*lines):
        rows = [line if isinstance(line, str) else ",".join(map(str, [line[0], *line[1].ravel()])) for line in lines]
        (tmp_path / "joints.csv").write_text("\n".join(rows) + "\n")
        return tmp_path / "joints.csv"

    return write


def test_joints_are_mapped_by_their_order(write):
    given = points()
    poses, report = read(write(("a.jpg", points(1)), ("b.jpg", given)))
    at = dict(zip(JOINTS, given, strict=True)) | {"head": given[9], "neck": given[8], "pelvis": given[6]}
    expected_J2 = np.array([at[joint] for joint in BODY_15.joints])
    np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3)[1], expected_J2, atol=1e-3)
    np.testing.assert_array_equal(at["right_ankle"], given[0])
    assert list(poses.group_N) == ["a.jpg", "b.jpg"] and set(poses.label_N) == {""}
    assert (report.read, report.kept) == (2, 2)


def test_persons_of_one_picture_are_one_group(write):
    assert read(write(("a.jpg", points()), ("a.jpg", points(1))))[1].groups == 1


def test_gzip_is_read_by_content(write, tmp_path):
    plain = write(("a.jpg", points()))
    (tmp_path / "packed").write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read(tmp_path / "packed")[0].keypoints_NJ2, read(plain)[0].keypoints_NJ2)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a.jpg,1,2,3", r"joints\.csv, line 2: found 4 cells, expected 33"),
        ("a.jpg" + ",x" * 32, r"line 2: not a number.*no header"),
    ],
)
def test_a_bad_line_is_named(write, line, told):
    with pytest.raises(DataError, match=told):
        read(write(("b.jpg", points()), line))


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "no line there"), (b"\xff\xfe", "damaged file"), (gzip.compress(b"a,1,2" * 99)[:-9], "damaged file")],
)
def test_an_unusable_file_is_refused(tmp_path, content, told):
    (tmp_path / "joints.csv").write_bytes(content)
    with pytest.raises(DataError, match=rf"joints\.csv: {told}"):
        read(tmp_path / "joints.csv")


def test_the_real_set_gives_all_its_persons_upright(real_data):
    poses, report = read_source(f"mpii:{real_data}/mpii/joints.csv.gz")
    assert (report.read, report.kept, report.groups) == (15_978, 15_978, 9659)
    head, pelvis = (poses.keypoints_NJ2[:, BODY_15.joints.index(joint), 1] for joint in ("head", "pelvis"))
    assert (head < pelvis).mean() > 0.9
