import gzip

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.sources.formats.published.wflw import OF_98
from tests.sources.reading import read

FACES_NS2 = np.random.default_rng(0).integers(10, 500, (3, 98, 2)) / 1.0
# 68 from 98 as the set's users write it down: first and last number of each run.
RUNS = {
    0: 0,
    16: 32,
    17: 33,
    21: 37,
    22: 42,
    26: 46,
    27: 51,
    35: 59,
    36: 60,
    38: 63,
    41: 67,
    42: 68,
    47: 75,
    48: 76,
    67: 95,
}


def line(face_S2, picture, attributes=False):
    fields = [f"{v:.6f}" for v in face_S2.ravel()]
    return " ".join([*fields, *(["10 20 30 40", "0 1 0 0 1 0"] if attributes else []), picture])


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "\n".join(lines) + "\n"
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


@pytest.mark.parametrize("attributes", [False, True])
@pytest.mark.parametrize("name", ["list_98pt_test.txt", "list_98pt_test.txt.gz"])
def test_both_kinds_of_lists_are_read(tmp_path, attributes, name):
    lines = [line(face, f"0--Parade/{i}.jpg", attributes) for i, face in enumerate(FACES_NS2)]
    poses, _ = read("wflw", write(tmp_path / name, *lines))
    np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3), FACES_NS2[:, list(OF_98)], atol=1e-3)
    assert list(poses.group_N) == [f"0--Parade/{i}.jpg" for i in range(3)] and poses.skeleton_name == "face_68"


def test_the_68_landmarks_are_the_ones_of_the_published_map():
    assert len(OF_98) == 68 == len(set(OF_98)) and {i: OF_98[i] for i in RUNS} == RUNS


def test_a_face_in_several_lists_is_read_once_and_faces_of_a_picture_are_one_group(tmp_path):
    faces = [line(face, "a.jpg") for face in FACES_NS2]
    write(tmp_path / "lists" / "list_98pt_test.txt", *faces)
    write(tmp_path / "lists" / "list_98pt_test_blur.txt", faces[1])
    write(tmp_path / "other" / "list_98pt_rect_attr_train.txt", line(FACES_NS2[0] + 1, "b.jpg", True))
    _, report = read("wflw", tmp_path)
    assert (report.kept, report.groups) == (4, 2)
    assert read("wflw", tmp_path, part="train")[1].kept == 1 and read("wflw", tmp_path, part="test")[1].kept == 3
    with pytest.raises(ConfigError, match="part is 'val'"):
        read("wflw", tmp_path, part="val")


def test_bad_lines_are_named(tmp_path):
    lines = [line(FACES_NS2[0], "a.jpg"), "1 2 3", line(FACES_NS2[1], "b.jpg").replace(" ", " x", 1)]
    with pytest.raises(DataError, match=r"list_98pt_x\.txt line 2: found 3 fields, expected 197 or 207; 2 of 3 rows"):
        read("wflw", write(tmp_path / "list_98pt_x.txt", *lines))
    with pytest.raises(DataError, match=r"no list_98pt_\*\.txt there"):
        read("wflw", write(tmp_path / "empty" / "x.txt", "").parent)


def test_the_real_lists_give_each_face_once(real_data):
    _, report = read("wflw", real_data / "wflw")
    assert (report.kept, report.dropped) == (1389, {})
    assert report.checks["first eye on the picture's left"] > 0.99


@pytest.mark.parametrize(
    ("place", "options", "count", "groups"),
    [
        ("face_300w/face_landmarks_300w_valid_common.csv.gz", {"group": "image_name"}, 554, 554),
        ("face_300w/face_landmarks_300w_valid_challenge.csv.gz", {"group": "image_name"}, 135, 135),
        ("youtube_faces_68_crops/landmarks.csv.gz", {"group": "person", "size": "1x1"}, 4232, 347),
        ("youtube_faces_68_crops/landmarks.csv.gz", {"group": "person", "size": "1x1", "only": "split:test"}, 834, 69),
    ],
)
def test_real_tables_of_faces_are_read(real_data, place, options, count, groups):
    poses, report = read("table", real_data / place, **options)
    assert (report.kept, report.groups, poses.skeleton_name) == (count, groups, "face_68")
    assert report.warnings == () and report.checks["first eye on the picture's left"] > 0.99
