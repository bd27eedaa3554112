import contextlib
import gzip

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import crop, uncrop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats.table import read_table
from flexpose_ray.sources.joint_map import read_mapping
from flexpose_ray.sources.read import read_source

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


def test_shares_of_pictures_need_the_pictures_size(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2 / [640, 480])
    with pytest.raises(DataError, match=r"all coordinates lie between 0 and 1.*\?size=640x480"):
        read(tmp_path / "p.npz")
    assert_pixels(read_source(f"table:{tmp_path}/p.npz?size=640x480")[0])


def test_pixels_are_no_shares(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2 / 5)
    with pytest.raises(DataError, match=r"coordinates are no shares of a picture.*leave size= out"):
        read_source(f"table:{tmp_path}/p.npz?size=640x480")
    assert_pixels(read_source(f"table:{tmp_path}/p.npz?size=1x1")[0], PIXELS_NJ2 / 5)


def test_crop_units_need_no_size(tmp_path):
    poses = PoseSet(crop(PIXELS_NJ2)[0])
    np.savez(tmp_path / "p.npz", keypoints=poses.keypoints_NJ2)
    np.testing.assert_allclose(read(tmp_path / "p.npz")[0].keypoints_NJ2, poses.keypoints_NJ2, atol=1e-5)


def test_y_may_grow_upwards_and_sides_be_exchanged(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2 * [1, -1])
    assert_pixels(read_source(f"table:{tmp_path}/p.npz?y=up")[0])
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2[:, list(BODY_15.flip)])
    assert_pixels(read_source(f"table:{tmp_path}/p.npz?swap_sides=yes")[0])


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


def test_joints_that_no_skeleton_has_are_left_out(tmp_path):
    rows_NJ2 = np.concatenate([PIXELS_NJ2, np.full((5, 1, 2), np.nan)], 1)
    assert_pixels(read(write_csv(tmp_path / "p.csv", lines([*COLUMNS, "tail_x", "tail_y"], rows_NJ2)))[0])


def test_a_mapping_to_an_absent_joint_names_it(tmp_path):
    joint_map = {joint: (joint,) for joint in BODY_15.joints} | {"head": ("nose",)}
    with pytest.raises(DataError, match=r"p\.csv: no joint 'nose' there for head, found head, neck"):
        read(write_csv(tmp_path / "p.csv", lines()), joint_map)


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "inf", "NA", "null", "-"])
def test_a_pose_with_a_gap_is_dropped_and_counted(tmp_path, cell):
    text = lines()
    text[3] = ",".join([cell, *text[3].split(",")[1:]])
    poses, report = read(write_csv(tmp_path / "p.csv", text))
    assert_pixels(poses, PIXELS_NJ2[[0, 1, 3, 4]])
    assert (report.read, report.dropped) == (5, {"joints missing": 1})


@pytest.mark.parametrize("mark", [0, -1, np.nan, np.inf])
def test_marks_for_none_are_gaps(tmp_path, mark):
    marked_NJ2 = PIXELS_NJ2.copy()
    marked_NJ2[2, 1] = mark
    np.savez(tmp_path / "p.npz", keypoints=marked_NJ2)
    poses, report = read(tmp_path / "p.npz")
    assert_pixels(poses, PIXELS_NJ2[[0, 1, 3, 4]])
    assert report.dropped == {"joints missing": 1}


def test_the_origin_of_coordinates_is_no_gap(tmp_path):
    around_pelvis_NJ2 = PIXELS_NJ2 - PIXELS_NJ2[:, 2:3]
    np.savez(tmp_path / "p.npz", keypoints=around_pelvis_NJ2)
    assert_pixels(read(tmp_path / "p.npz")[0], around_pelvis_NJ2)


def test_a_cell_that_is_no_number_names_its_line_and_column(tmp_path):
    text = lines()
    text[2] = ",".join(["far left", *text[2].split(",")[1:]])
    with pytest.raises(DataError, match=r"p\.csv, line 3: head_x is 'far left', not a number.*max_bad=0\.20"):
        read(write_csv(tmp_path / "p.csv", text))


def test_few_broken_lines_are_counted_and_named(tmp_path):
    text = lines(rows=np.random.default_rng(0).uniform(1, 500, (200, 15, 2)))
    text[7], text[9] = text[7] + ",1", ",".join(["1,234.5", *text[9].split(",")[2:], "7"])
    poses, report = read(write_csv(tmp_path / "p.csv", text))
    assert (len(poses), report.read, report.dropped) == (198, 200, {"unreadable": 2})
    assert report.notes[0] == "line 8: found 31 cells, expected 30 as in the header"


def test_a_line_of_another_length_is_named(tmp_path):
    text = lines()
    text[2] += ",1"
    with pytest.raises(DataError, match=r"p\.csv, line 3: found 31 cells, expected 30"):
        read(write_csv(tmp_path / "p.csv", text))


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("fraction", [".", ","])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_text_in_the_forms_that_programs_write(tmp_path, mark, fraction, encoding):
    def cell(text):
        text = text.replace(".", fraction)
        return f'"{text}"' if mark == "," == fraction else text

    rows = [mark.join([*(cell(f"{v:.3f}") for v in row.ravel()), "J\u00fcrgen"]) for row in PIXELS_NJ2]
    text = "\n".join(["", mark.join([*COLUMNS, "label"]), *rows, "", ""])
    (tmp_path / "p.CSV").write_bytes(text.encode(encoding))
    poses, _ = read(tmp_path / "p.CSV")
    assert_pixels(poses)
    assert set(poses.label_N) == {"J\u00fcrgen"}


@pytest.mark.parametrize("form", ["{}.{}", "{} {}", "{}:{}", "{}-{}", "{}_{}", "{1}_{0}", "{1}.{0}"])
def test_columns_are_named_in_several_forms(tmp_path, form):
    header = [form.format(joint, axis) for joint in BODY_15.joints for axis in "xy"]
    assert_pixels(read(write_csv(tmp_path / "p.csv", lines([f" {name} " for name in header])))[0])
    assert_pixels(read(write_csv(tmp_path / "p.csv", lines([name.upper() for name in header])))[0])


def test_a_packed_table_is_read(tmp_path):
    (tmp_path / "p.csv.gz").write_bytes(gzip.compress("\n".join(lines()).encode()))
    assert_pixels(read(tmp_path / "p.csv.gz")[0])


@pytest.mark.parametrize("third", ["confidence", "likelihood", "score", "v"])
def test_a_third_column_says_how_sure_a_joint_is(tmp_path, third):
    sure_NJ = np.full((5, 15), 2 if third == "v" else 0.9)
    sure_NJ[1, 4] = 0 if third == "v" else 0.1
    header = [f"{joint}_{what}" for joint in BODY_15.joints for what in ("x", "y", third)]
    rows_NJ3 = np.concatenate([PIXELS_NJ2, sure_NJ[..., None]], 2)
    path = write_csv(tmp_path / "p.csv", lines(header, rows_NJ3))
    assert read(path)[1].dropped == {"joints missing": 1}
    if third != "v":
        assert len(read_source(f"table:{path}?min_confidence=0.05")[0]) == 5
        with pytest.raises(DataError, match="5 joints missing"):
            read_source(f"table:{path}?min_confidence=0.95")
    np.savez(tmp_path / "p.npz", keypoints=rows_NJ3)
    assert_pixels(read(tmp_path / "p.npz")[0], PIXELS_NJ2[[0, 2, 3, 4]])


@pytest.mark.parametrize("animals", [[], ["mouse1"]])
def test_a_table_of_deeplabcut_is_told_by_its_header(tmp_path, animals):
    heads = [["scorer", *["net"] * 45]]
    heads += [["individuals", *animals * 45]] if animals else []
    heads += [["bodyparts", *[joint for joint in BODY_15.joints for _ in range(3)]]]
    heads += [["coords", *["x", "y", "likelihood"] * 15]]
    rows = [[f"img{i}.png", *(f"{v}" for joint in row for v in (*joint, 0.99))] for i, row in enumerate(PIXELS_NJ2)]
    assert_pixels(read(write_csv(tmp_path / "p.csv", [",".join(row) for row in heads + rows]))[0])


def test_broken_headers_of_deeplabcut_are_refused(tmp_path):
    with pytest.raises(DataError, match="header rows scorer, bodyparts"):
        read(write_csv(tmp_path / "p.csv", ["scorer,a,a", "bodyparts,b,b", "1,2,3"]))
    with pytest.raises(DataError, match="header rows of different lengths"):
        read(write_csv(tmp_path / "p.csv", ["bodyparts,b,b", "coords,x", "1,2,3"]))


@pytest.mark.parametrize("header", [["picture", "note"], ["head_x", "neck_y"]])
def test_a_table_without_joint_columns_is_refused(tmp_path, header):
    with pytest.raises(DataError, match="no columns JOINT_x, JOINT_y"):
        read(write_csv(tmp_path / "p.csv", [",".join(header), "1,2"]))


def test_a_joint_without_its_y_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no joint 'leftwrist' among the 14 there"):
        read(write_csv(tmp_path / "p.csv", lines([c.replace("left_wrist_y", "left_wrist") for c in COLUMNS])))


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="two columns have the name 'head_x'"):
        read(write_csv(tmp_path / "p.csv", lines(["head_x", "head_y", *COLUMNS[:-2]])))


@pytest.mark.parametrize("text", [[], lines()[:1]])
def test_an_empty_table_is_refused(tmp_path, text):
    with pytest.raises(DataError, match=r"p\.csv: (an empty file|no usable pose there: it is empty)"):
        read(write_csv(tmp_path / "p.csv", text))


def test_an_empty_npz_is_refused(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=np.zeros((0, 15, 2)))
    with pytest.raises(DataError, match="no usable pose there: it is empty"):
        read(tmp_path / "p.npz")


def test_pickled_arrays_are_refused(tmp_path):
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2, label=np.array(list("abcde"), object))
    with pytest.raises(DataError, match=r"not readable as arrays: Object arrays cannot be loaded"):
        read(tmp_path / "p.npz")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 garbage", b"garbage"])
@pytest.mark.parametrize("name", ["p.npz", "p.parquet"])
def test_a_damaged_file_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"not readable as arrays|not a readable table"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "problem"),
    [
        ({"poses": PIXELS_NJ2}, "no array `keypoints`"),
        ({"keypoints": PIXELS_NJ2.reshape(5, 30)}, r"expected numbers \(N, J, 2\)"),
        ({"keypoints": np.zeros((5, 15, 4))}, r"expected numbers \(N, J, 2\)"),
        ({"keypoints": np.full((5, 15, 2), "a")}, r"expected numbers \(N, J, 2\)"),
        ({"keypoints": PIXELS_NJ2, "joints": np.array(["a"])}, "1 names for 15 joints"),
        (
            {"keypoints": np.ones((2, 16, 2)), "joints": np.array([*BODY_15.joints, "head"])},
            "two joints have the name 'head'",
        ),
        ({"keypoints": PIXELS_NJ2, "label": np.array(["a"])}, r"label has shape \(1,\) for 5 poses"),
    ],
)
def test_npz_of_another_shape_is_refused(tmp_path, arrays, problem):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(DataError, match=problem):
        read(tmp_path / "p.npz")


def test_an_npy_holds_keypoints_alone(tmp_path):
    np.save(tmp_path / "p.npy", PIXELS_NJ2)
    assert_pixels(read(tmp_path / "p.npy")[0])
    np.save(tmp_path / "p.npy", np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="not readable as arrays: Object arrays"):
        read(tmp_path / "p.npy")


def test_names_groups_and_labels_may_be_bytes(tmp_path):
    names, text = np.array(BODY_15.joints, "S"), np.array(["a"] * 5, "S")
    np.savez(tmp_path / "p.npz", keypoints=PIXELS_NJ2, joints=names, group=text, label=text)
    assert set(read(tmp_path / "p.npz")[0].label_N) == {"a"}


@pytest.mark.parametrize("kind", [pa.float16(), pa.float32(), pa.int16(), pa.decimal128(28, 6), pa.string()])
def test_parquet_of_any_numbers_is_read(tmp_path, kind):
    whole_NJ2 = np.rint(PIXELS_NJ2 * 0.2) + 1
    values = whole_NJ2.reshape(5, 30).T.astype(np.float16 if kind == pa.float16() else np.int64)
    columns = {name: pa.array(v).cast(kind) for name, v in zip(COLUMNS, values, strict=True)}
    label = pa.array(["walk"] * 5).dictionary_encode()
    pq.write_table(pa.table(columns | {"label": label}), tmp_path / "p.parquet")
    poses, _ = read(tmp_path / "p.parquet")
    assert_pixels(poses, whole_NJ2)
    assert set(poses.label_N) == {"walk"}


def test_parquet_of_lists_is_refused_and_an_empty_cell_a_gap(tmp_path):
    columns = dict(zip(COLUMNS, PIXELS_NJ2.reshape(5, 30).T.tolist(), strict=True))
    pq.write_table(pa.table(columns | {"head_x": [1.0, None, 3, 4, 5]}), tmp_path / "p.parquet")
    assert read(tmp_path / "p.parquet")[1].dropped == {"joints missing": 1}
    pq.write_table(pa.table(columns | {"head_x": [[1.0]] * 5}), tmp_path / "p.parquet")
    with pytest.raises(DataError, match=r"p\.parquet, column head_x: not a number"):
        read(tmp_path / "p.parquet")


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"a table ends in \.npz, \.npy, \.csv"):
        read(write_csv(tmp_path / "p.xlsx", lines()))


@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=6)), max_size=4),
    name=st.sampled_from(["p.csv", "p.npz", "p.npy", "p.parquet", "p.csv.gz"]),
)
def test_a_damaged_table_is_read_or_refused_in_one_line(tmp_path, changes, name):
    path = tmp_path / name
    if name.startswith("p.csv"):
        text = "\n".join(lines()).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    elif name == "p.parquet":
        pq.write_table(pa.table(dict(zip(COLUMNS, PIXELS_NJ2.reshape(5, 30).T.tolist(), strict=True))), path)
    elif name == "p.npy":
        np.save(path, PIXELS_NJ2)
    else:
        np.savez(path, keypoints=PIXELS_NJ2)
    content = bytearray(path.read_bytes())
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        read(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_group_may_have_several_columns_and_rows_name_their_pictures(tmp_path, suffix):
    text = write_csv(
        tmp_path / "a.csv", lines(person=[*"aabbb"], video=[*"01001"], photo=[f"{i}.jpg" for i in range(5)])
    )
    path = text
    if suffix == "parquet":
        path = tmp_path / "a.parquet"
        pq.write_table(pa.csv.read_csv(text), path)
    poses, report = read_source(f"table:{path}?group=person,video&picture=photo&only=person:b")
    assert poses.group_N.tolist() == ["b_0", "b_0", "b_1"]
    assert report.picture_N.tolist() == ["2.jpg", "3.jpg", "4.jpg"]
    with pytest.raises(DataError, match="no column 'scene' there"):
        read_source(f"table:{path}?group=person,scene")
