import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats.table import read_table
from flexpose_ray.sources.joint_map import read_mapping

PIXELS_NJ2 = np.random.default_rng(0).uniform(0, 500, (5, 15, 2))
COLUMNS = [f"{joint}_{axis}" for joint in BODY_15.joints for axis in "xy"]


def read(path, joint_map=None):
    return to_pose_set(path, read_table(path), joint_map)


def lines(header=COLUMNS, rows=PIXELS_NJ2, **extra):
    cells = [[str(v) for v in row.ravel()] + [values[i] for values in extra.values()] for i, row in enumerate(rows)]
    return [",".join([*header, *extra]), *(",".join(row) for row in cells)]


def write_csv(path, text):
    path.write_text("\n".join(text) + "\n")
    return path


def assert_pixels(poses, expected_NJ2=PIXELS_NJ2):
    np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3), expected_NJ2, atol=1e-3)


def test_npz_in_the_skeletons_order(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2, group=np.array([1, 1, 2, 2, 3]), label=np.array(list("aabbb")))
    poses, report = read(tmp_path / "p.npz")
    assert_pixels(poses)
    assert list(poses.group_N) == ["1", "1", "2", "2", "3"] and report.labels == {"a": 2, "b": 3}


def test_npz_with_names_in_any_order(tmp_path):
    order = np.random.default_rng(1).permutation(15)
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2[:, order], joints=np.array(BODY_15.joints)[order])
    assert_pixels(read(tmp_path / "p.npz")[0])


def test_npz_of_a_face(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=np.random.default_rng(0).integers(0, 99, (2, 68, 2)))
    poses, _ = read(tmp_path / "p.npz")
    assert poses.skeleton_name == FACE_68.name


def test_csv_by_column_names(tmp_path):
    path = write_csv(
        tmp_path / "p.csv", lines(label=list("abcde"), group=["01", "01", "2", "", "x"], picture=list("vwxyz"))
    )
    poses, _ = read(path)
    assert_pixels(poses)
    assert list(poses.label_N) == list("abcde") and list(poses.group_N) == ["01", "01", "2", "", "x"]


def test_poses_without_a_group_are_their_own_and_without_a_label_have_none(tmp_path):
    poses, report = read(write_csv(tmp_path / "p.csv", lines()))
    assert len(set(poses.group_N)) == 5 == report.groups and set(poses.label_N) == {""}


def test_parquet_by_column_names(tmp_path):
    columns = dict(zip(COLUMNS, PIXELS_NJ2.reshape(5, 30).T.astype(np.float32), strict=True))
    pq.write_table(pa.table(columns | {"label": list("abcde")}), tmp_path / "p.parquet")
    poses, _ = read(tmp_path / "p.parquet")
    assert_pixels(poses)
    assert list(poses.label_N) == list("abcde")


def test_normalised_coordinates_are_not_too_small(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2 / 500)
    assert len(read(tmp_path / "p.npz")[0]) == 5


def test_poses_without_extent_are_dropped(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=np.concatenate([PIXELS_NJ2, np.ones((2, 15, 2))]))
    _, report = read(tmp_path / "p.npz")
    assert report.read == 7 and list(report.dropped.values()) == [2]


def test_a_mapping_renames_and_averages(tmp_path):
    mapping = tmp_path / "mapping.yaml"
    side = "\n".join(f"{joint}: {joint.upper()}" for joint in BODY_15.joints[3:])
    mapping.write_text(f"head: nose\nneck: [LEFT_SHOULDER, RIGHT_SHOULDER]\npelvis: [LEFT_HIP, RIGHT_HIP]\n{side}\n")
    names = ["nose", "unused"] + [joint.upper() for joint in BODY_15.joints[3:]]
    given_NS2 = np.random.default_rng(0).uniform(0, 90, (4, 14, 2))
    header = [f"{name}_{axis}" for name in names for axis in "xy"]
    poses, _ = read(write_csv(tmp_path / "p.csv", lines(header, given_NS2)), read_mapping(mapping))
    at = {joint: given_NS2[:, names.index(joint.upper())] for joint in BODY_15.joints[3:]}
    at["head"] = given_NS2[:, 0]
    at["neck"] = (at["left_shoulder"] + at["right_shoulder"]) / 2
    at["pelvis"] = (at["left_hip"] + at["right_hip"]) / 2
    assert_pixels(poses, np.stack([at[joint] for joint in BODY_15.joints], 1))


def test_a_mapping_may_go_by_index(tmp_path):
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text("\n".join(f"{joint}: {14 - i}" for i, joint in enumerate(BODY_15.joints)))
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2[:, ::-1])
    assert_pixels(read(tmp_path / "p.npz", read_mapping(mapping))[0])


def test_a_wrong_number_of_joints_says_what_is_expected(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=np.zeros((2, 17, 2)))
    with pytest.raises(DataError, match=r"found 17 joints .*the 15 of body_15 or the 68 of face_68.*--mapping"):
        read(tmp_path / "p.npz")


def test_a_joint_too_many_is_refused_without_a_mapping(tmp_path):
    header = [*COLUMNS, "tail_x", "tail_y"]
    with pytest.raises(DataError, match="found 16 joints"):
        read(write_csv(tmp_path / "p.csv", lines(header, np.zeros((2, 16, 2)))))


def test_a_mapping_to_an_absent_joint_names_it(tmp_path):
    joint_map = {joint: (joint,) for joint in BODY_15.joints} | {"head": ("nose",)}
    with pytest.raises(DataError, match=r"p\.csv: no joint 'nose' there, found head, neck"):
        read(write_csv(tmp_path / "p.csv", lines()), joint_map)


@pytest.mark.parametrize("cell", ["", "nan", "inf"])
def test_nan_and_empty_cells_name_line_and_joint(tmp_path, cell):
    text = lines()
    text[3] = ",".join([cell, *text[3].split(",")[1:]])
    with pytest.raises(DataError, match=r"p\.csv, line 4: head is NaN, infinite or empty"):
        read(write_csv(tmp_path / "p.csv", text))


def test_nan_in_npz_names_row_and_joint(tmp_path):
    broken_NJ2 = PIXELS_NJ2.copy()
    broken_NJ2[2, 1] = np.nan
    np.savez(tmp_path / "p.npz", keypoints=broken_NJ2)
    with pytest.raises(DataError, match=r"p\.npz, row 2: neck is NaN"):
        read(tmp_path / "p.npz")


def test_a_cell_that_is_no_number_names_its_column(tmp_path):
    text = lines()
    text[2] = ",".join(["far left", *text[2].split(",")[1:]])
    with pytest.raises(DataError, match=r"column head_x: not a number.*far left"):
        read(write_csv(tmp_path / "p.csv", text))


def test_a_line_of_another_length_is_named(tmp_path):
    text = lines()
    text[2] += ",1"
    with pytest.raises(DataError, match=r"p\.csv: not a readable table: .*Row #3: Expected 30 columns, got 31"):
        read(write_csv(tmp_path / "p.csv", text))


@pytest.mark.parametrize("header", [["picture", "note"], ["head_x", "neck_y"]])
def test_a_table_without_joint_columns_is_refused(tmp_path, header):
    with pytest.raises(DataError, match="no columns JOINT_x, JOINT_y"):
        read(write_csv(tmp_path / "p.csv", [",".join(header), "1,2"]))


def test_a_joint_without_its_y_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"found 14 joints|no column left_wrist_y"):
        read(write_csv(tmp_path / "p.csv", lines([c.replace("left_wrist_y", "left_wrist") for c in COLUMNS])))


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two columns have one name"):
        read(write_csv(tmp_path / "p.csv", lines(["head_x", "head_y", *COLUMNS[:-2]])))


@pytest.mark.parametrize("text", [[], lines()[:1]])
def test_an_empty_table_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"p\.csv: (not a readable table|no usable pose there: it is empty)"):
        read(write_csv(tmp_path / "p.csv", text))


def test_an_empty_npz_is_refused(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=np.zeros((0, 15, 2)))
    with pytest.raises(DataError, match="no usable pose there: it is empty"):
        read(tmp_path / "p.npz")


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2, label=np.array(list("abcde"), object))
    with pytest.raises(DataError, match=r"not a readable \.npz: Object arrays cannot be loaded"):
        read(tmp_path / "p.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 garbage", b"garbage"])
@pytest.mark.parametrize("name", ["p.npz", "p.parquet"])
def test_a_damaged_file_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="not a readable"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"poses": PIXELS_NJ2}, "no array `keypoints`"),
        ({"keypoints": PIXELS_NJ2.reshape(5, 30)}, r"expected numbers \(N, J, 2\)"),
        ({"keypoints": np.zeros((5, 15, 3))}, r"expected numbers \(N, J, 2\)"),
        ({"keypoints": np.full((5, 15, 2), "a")}, r"expected numbers \(N, J, 2\)"),
        ({"keypoints": PIXELS_NJ2, "joints": np.array(["a"])}, "1 names for 15 joints"),
        ({"keypoints": np.ones((2, 16, 2)), "joints": np.array([*BODY_15.joints, "head"])}, "two joints have one name"),
        ({"keypoints": PIXELS_NJ2, "label": np.array(["a"])}, r"label has shape \(1,\) for 5 poses"),
    ],
)
def test_npz_of_another_shape_is_refused(tmp_path, arrays, problem):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(DataError, match=problem):
        read(tmp_path / "p.npz")


def test_a_bare_array_under_the_name_of_an_npz_is_refused(tmp_path):
    with open(tmp_path / "p.npz", "wb") as file:
        np.save(file, PIXELS_NJ2)
    with pytest.raises(DataError, match=r"not a readable \.npz"):
        read(tmp_path / "p.npz")


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a table ends in \.npz, \.csv, \.parquet"):
        read(write_csv(tmp_path / "p.txt", lines()))
