import gzip
import json

import numpy as np
import pytest
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.formats.published.mpii import JOINTS
from flexpose_ray.sources.read import read_source
from tests.sources.reading import joints
from tests.sources.reading import read as read_kind


def read(path):
    return read_kind("mpii", path)


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


NUMBERS = {
    "right_ankle": 0, "right_knee": 1, "right_hip": 2, "left_hip": 3, "left_knee": 4, "left_ankle": 5, "pelvis": 6,
    "neck": 8, "head": 9, "right_wrist": 10, "right_elbow": 11, "right_shoulder": 12, "left_shoulder": 13,
    "left_elbow": 14, "left_wrist": 15,
}  # fmt: skip


def test_the_sets_own_file_is_read(tmp_path):
    """As its authors wrote it: structures of pictures, of persons, of points that carry their joint's number."""
    given, dtype = points(), [("x", object), ("y", object), ("id", object), ("is_visible", object)]
    order = np.random.default_rng(2).permutation(16)

    def person(of, keep=16):
        return np.array([(of[i][0], of[i][1], i, 1) for i in order[:keep]], dtype=dtype)

    def rects(*people):
        return np.array([({"point": p},) for p in people], dtype=[("annopoints", object)])

    entries = [({"name": "a.jpg"}, rects(person(given), person(points(1), 14))), ({"name": "b.jpg"}, rects())]
    entries.append(({"name": "c.jpg"}, rects(person(points(3)))))
    annolist = np.array(entries, dtype=[("image", object), ("annorect", object)])
    act = np.array([("running",), ("",), ("yoga",)], dtype=[("act_name", object)])
    scipy.io.savemat(tmp_path / "mpii.mat", {"RELEASE": {"annolist": annolist, "act": act}})
    wanted = {joint: tuple(given[i].tolist()) for joint, i in NUMBERS.items()}
    assert joints("mpii", tmp_path / "mpii.mat") == wanted
    poses, report = read(tmp_path / "mpii.mat")
    assert list(poses.group_N) == ["a.jpg", "c.jpg"] and report.labels == {"running": 1, "yoga": 1}
    assert report.dropped == {"joints missing": 1}


def test_hrnets_json_is_read(tmp_path):
    given = points()
    people = [{"joints": given.tolist(), "joints_vis": [1] * 16, "image": "a.jpg"}]
    people += [{"joints": given.tolist(), "joints_vis": [1] * 15 + [0], "image": "b.jpg"}]
    people += [{"joints": [[-1, -1], *given.tolist()[1:]], "joints_vis": [1] * 16, "image": "b.jpg"}]
    (tmp_path / "train.json").write_text(json.dumps(people))
    wanted = {joint: tuple(given[i].tolist()) for joint, i in NUMBERS.items()}
    assert joints("mpii", tmp_path / "train.json") == wanted
    assert read(tmp_path / "train.json")[1].dropped == {"joints missing": 2}
    for broken in ([{"joints": [[1, 2]] * 3}], [3], [{"joints": "far"}]):
        (tmp_path / "train.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match="person 0: no joints"):
            read(tmp_path / "train.json")


def test_a_picture_with_a_comma_and_a_mark_at_the_start_are_read(write, tmp_path):
    path = write(("x.jpg", points()))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("x.jpg", '"a, b.jpg"').encode() + b"\n\n")
    assert list(read(path)[0].group_N) == ["a, b.jpg"]


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
    [(b"", "no line there"), (b"\xff\xfe", "no line there"), (gzip.compress(b"a,1,2" * 99)[:-9], "damaged file")],
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
