import contextlib
import gzip
import json
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats.coco import JOINTS, PARTS, read_coco
from tests.sources.reading import read as read_kind

KEYS = ("id", "image_id", "category_id", "keypoints", "iscrowd", "annotations", "categories", "images", "name")


def read(path, joint_map=None):
    return to_pose_set(path, read_coco(path), joint_map)


def person(index=0, **changes):
    rng = np.random.default_rng(index)
    keypoints = np.column_stack([rng.integers(0, 400, (17, 2)), np.full(17, 2)])
    return {"id": index, "image_id": 100 + index, "keypoints": keypoints.ravel().tolist()} | changes


def unlabel(annotation, *joints):
    for joint in joints:
        at = 3 * JOINTS.index(joint)
        annotation["keypoints"][at : at + 3] = [0, 0, 0]
    return annotation


@pytest.fixture
def write(tmp_path):
    def write(annotations, names=JOINTS, path=tmp_path / "persons.json"):
        content = {"images": [], "annotations": annotations, "categories": [{"id": 1, "keypoints": list(names)}]}
        path.write_text(json.dumps(content))
        return path

    return write


def test_joints_come_from_the_labelled_ones_by_name(write):
    given = person()
    poses, report = read(write([given]))
    points = {name: np.array(given["keypoints"][3 * i : 3 * i + 2]) for i, name in enumerate(JOINTS)}
    points |= {
        "head": points["nose"],
        "neck": (points["left_shoulder"] + points["right_shoulder"]) / 2,
        "pelvis": (points["left_hip"] + points["right_hip"]) / 2,
    }
    expected_J2 = np.array([points[joint] for joint in BODY_15.joints])
    np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3)[0], expected_J2, atol=1e-3)
    assert list(poses.group_N) == ["100"] and list(poses.label_N) == [""]
    assert (report.read, report.kept, report.dropped) == (1, 1, {})


def test_a_category_with_another_order_is_read_by_name(write):
    order = np.random.default_rng(1).permutation(17)
    given = person()
    shuffled = given | {"keypoints": np.reshape(given["keypoints"], (17, 3))[order].ravel().tolist()}
    straight, _ = read(write([given]))
    by_name, _ = read(write([shuffled], names=[JOINTS[i] for i in order]))
    np.testing.assert_array_equal(by_name.keypoints_NJ2, straight.keypoints_NJ2)


def test_a_file_without_categories_is_read_in_the_order_of_coco(tmp_path, write):
    path = tmp_path / "bare.json"
    path.write_text(json.dumps({"annotations": [person()]}))
    np.testing.assert_array_equal(read(path)[0].keypoints_NJ2, read(write([person()]))[0].keypoints_NJ2)


def test_a_file_of_the_skeletons_own_joints_is_read_as_it_is(write):
    pixels_J2 = np.random.default_rng(0).uniform(0, 300, (15, 2))
    keypoints = np.column_stack([pixels_J2, np.full(15, 2)]).ravel().tolist()
    poses, _ = read(write([person(keypoints=keypoints)], names=BODY_15.joints))
    np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3)[0], pixels_J2, atol=1e-3)


def test_a_joint_map_serves_files_with_other_names(write):
    keypoints = np.column_stack([np.random.default_rng(0).uniform(0, 300, (68, 2)), np.full(68, 1)]).ravel().tolist()
    names = [f"point {i}" for i in range(68)]
    joint_map = dict(zip(FACE_68.joints, [(name,) for name in names], strict=True))
    poses, _ = read(write([person(keypoints=keypoints)], names), joint_map)
    assert poses.skeleton_name == "face_68"


def test_persons_are_dropped_and_counted_by_reason(write):
    small, huge = person(3), person(4)
    small["keypoints"] = [v if i % 3 == 2 else v / 100 for i, v in enumerate(small["keypoints"])]
    huge["keypoints"][0] = 1e6
    eyeless = unlabel(person(1), "left_eye", "right_ear")
    kneeless, noseless = unlabel(person(2), "left_knee"), unlabel(person(5), "nose")
    poses, report = read(write([person(0), eyeless, kneeless, small, huge, noseless]))
    assert list(poses.group_N) == ["100", "101"]
    assert (report.read, report.kept) == (6, 2)
    assert list(report.dropped.values()) == [2, 1, 1]
    assert [reason.split(" (")[0] for reason in report.dropped] == ["joints missing", "out of range", "too small"]
    assert "dropped: joints missing" in str(report) and "poses kept" in str(report)


def test_hidden_joints_count_as_labelled(write):
    given = person()
    given["keypoints"][2::3] = [1] * 17
    assert len(read(write([given]))[0]) == 1


def test_nan_in_an_unlabelled_joint_does_no_harm(write):
    given = unlabel(person(1), "left_knee")
    given["keypoints"][3 * JOINTS.index("left_knee")] = float("nan")
    assert read(write([person(), given]))[1].dropped == {"joints missing": 1}


def test_gzip_is_read_by_content(tmp_path, write):
    plain = write([person()])
    packed = tmp_path / "persons.json.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    np.testing.assert_array_equal(read(packed)[0].keypoints_NJ2, read(plain)[0].keypoints_NJ2)


def test_broken_json_is_named_with_line_and_column(tmp_path):
    path = tmp_path / "broken.json"
    path.write_text('{"annotations": [\n  {"id": 1,,}\n]}')
    with pytest.raises(DataError, match=r"broken\.json, line 2, column 12: broken JSON"):
        read(path)


def test_a_damaged_archive_is_refused_and_other_text_does_no_harm(tmp_path):
    path = tmp_path / "damaged.json.gz"
    path.write_bytes(gzip.compress(b'{"annotations": []}')[:-9])
    with pytest.raises(DataError, match=r"damaged\.json\.gz: damaged file"):
        read(path)
    path.write_bytes(
        json.dumps({"annotations": [person()], "info": "Z\u00fcrich"}, ensure_ascii=False).encode("latin-1")
    )
    assert len(read(path)[0]) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be"])
def test_json_of_other_encodings_is_read(tmp_path, encoding):
    (tmp_path / "p.json").write_bytes(json.dumps({"annotations": [person()]}).encode(encoding))
    assert len(read(tmp_path / "p.json")[0]) == 1


@pytest.mark.parametrize("content", ["3", "{}", '{"annotations": "a"}'])
def test_json_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(DataError, match='no list "annotations"'):
        read(path)


@pytest.mark.parametrize("annotations", [[], [{"id": 1, "bbox": [0, 0, 1, 1]}], [person(iscrowd=1)]])
def test_a_file_without_keypoints_is_refused(write, annotations):
    why = {0: "it is empty", 1: "1 without keypoints|1 crowds"}[len(annotations)]
    with pytest.raises(DataError, match=rf"none of {len(annotations)} annotations can be used: ({why})"):
        read(write(annotations))


def test_a_wrong_number_of_keypoints_names_the_annotation(write):
    with pytest.raises(DataError, match=r"annotation 7: found 48 keypoint numbers, expected 51 .* 17 joints"):
        read(write([person(), person(7, keypoints=[1] * 48)]))


@pytest.mark.parametrize(
    "value",
    ["far", [1], {}, int("9" * 400), "9" * 5000, float("inf")],
    ids=["text", "list", "dict", "400", "5000", "inf"],
)
def test_a_keypoint_that_is_no_number_names_the_annotation(write, value):
    with pytest.raises(DataError, match=r"annotation 3: (a keypoint is (not a number|infinite)|joints of other than)"):
        read(write([person(3, keypoints=[value] * 51)]))


def test_numbers_may_be_text_and_visibility_yes_or_no(write):
    given = person(0)
    told = given | {"keypoints": [bool(v) if i % 3 == 2 else str(v) for i, v in enumerate(given["keypoints"])]}
    np.testing.assert_array_equal(read(write([told]))[0].keypoints_NJ2, read(write([given]))[0].keypoints_NJ2)


@pytest.mark.parametrize("value", [float("nan"), None, "", " "])
def test_a_joint_without_a_number_is_a_gap(write, value):
    given = person(4)
    given["keypoints"][3 * JOINTS.index("left_elbow")] = value
    assert read(write([person(), given]))[1].dropped == {"joints missing": 1}


@pytest.mark.parametrize("mark", [0, -1])
def test_a_mark_for_none_is_a_gap_whatever_its_visibility(write, mark):
    given = person(4)
    at = 3 * JOINTS.index("left_elbow")
    given["keypoints"][at : at + 2] = [mark, mark]
    assert read(write([person(), given]))[1].dropped == {"joints missing": 1}


def test_a_third_number_may_be_a_confidence(write):
    sure, unsure = person(1), person(2)
    sure["keypoints"][2::3], unsure["keypoints"][2::3] = [0.9] * 17, [0.9] * 16 + [0.02]
    assert read(write([sure, unsure]))[1].dropped == {"joints missing": 1}
    assert len(read_kind("coco", write([sure, unsure]), min_confidence="0.01")[0]) == 2


def test_names_come_from_each_annotations_own_category(tmp_path):
    order = np.random.default_rng(1).permutation(17)
    given = person(1)
    shuffled = np.reshape(given["keypoints"], (17, 3))[order].ravel().tolist()
    kinds = [
        {"id": 1, "name": "dog", "keypoints": ["nose", "tail"]},
        {"id": 2, "name": "person", "keypoints": JOINTS},
        {"id": 3, "name": "actor", "keypoints": [JOINTS[i] for i in order]},
    ]
    found = [{"id": 9, "category_id": 1, "keypoints": [5, 5, 2, 9, 9, 2]}, given | {"category_id": 2}]
    found += [given | {"category_id": 3, "keypoints": shuffled, "id": 2, "image_id": 7}]
    (tmp_path / "p.json").write_text(json.dumps({"annotations": found, "categories": kinds}))
    poses, report = read(tmp_path / "p.json")
    np.testing.assert_array_equal(*poses.keypoints_NJ2)
    assert report.dropped == {"of joints that are not known": 1} and report.read == 3
    _, report = read_kind("coco", tmp_path / "p.json", category="actor")
    assert report.dropped == {"of category dog": 1, "of category person": 1} and report.kept == 1
    assert read_kind("coco", tmp_path / "p.json", category="2")[1].kept == 1
    with pytest.raises(ConfigError, match=r"no category 'cat' there .*dog, person, actor"):
        read_kind("coco", tmp_path / "p.json", category="cat")


def test_crowds_empty_annotations_and_repetitions_are_counted(write):
    other = person(5)
    found = [
        person(1),
        person(1, id=2),
        person(3, iscrowd=1),
        {"id": 4, "keypoints": []},
        other,
        person(6, keypoints=[0] * 51),
    ]
    _, report = read(write([*found, person(6, id=7, keypoints=[0] * 51)]))
    assert report.dropped == {"repeated": 1, "crowds": 1, "without keypoints": 1, "joints missing": 2}
    assert (report.read, report.kept) == (7, 2)


def test_few_broken_annotations_are_counted_and_named(write):
    _, report = read(write([*(person(i) for i in range(199)), person(200, keypoints=[1, 2])]))
    assert report.dropped == {"unreadable": 1} and report.notes[0].startswith(
        "annotation 200: found 2 keypoint numbers"
    )


def test_results_of_estimators_are_read(tmp_path):
    """AlphaPose and detectron2 write a list, mmpose frames of instances."""
    given = person(1)
    pairs = np.reshape(given["keypoints"], (17, 3))[:, :2].tolist()
    scored = [value for x, y in pairs for value in (x, y, 0.9)]
    alpha = [{"image_id": "12.jpg", "category_id": 1, "keypoints": scored, "score": 2.5}]
    instance = {"keypoints": pairs, "keypoint_scores": [1.02] * 17}
    frames = {"meta_info": {}, "instance_info": [{"frame_id": 3, "instances": [instance]}]}
    (tmp_path / "p.json").write_text(json.dumps({"annotations": [given]}))
    straight, _ = read(tmp_path / "p.json")
    for content, group in ((alpha, "12.jpg"), (frames, "3"), ({"annotations": {"1": given}}, "101")):
        (tmp_path / "p.json").write_text(json.dumps(content))
        poses, _ = read(tmp_path / "p.json")
        np.testing.assert_array_equal(poses.keypoints_NJ2, straight.keypoints_NJ2)
        assert list(poses.group_N) == [group]


def test_crowdpose_is_read_by_its_names(write):
    names = [f"{side}_{part}" for part in PARTS[2:] for side in ("left", "right")] + ["head", "neck"]
    pixels_S2 = np.random.default_rng(0).integers(1, 300, (14, 2))
    poses, _ = read(write([person(keypoints=np.column_stack([pixels_S2, np.full(14, 2)]).ravel().tolist())], names))
    at = dict(zip(names, pixels_S2.astype(float), strict=True))
    at["pelvis"] = (at["left_hip"] + at["right_hip"]) / 2
    found_J2 = uncrop(poses.keypoints_NJ2, poses.crop_N3)[0]
    np.testing.assert_allclose(found_J2, [at[joint] for joint in BODY_15.joints], atol=1e-3)


@pytest.mark.parametrize(("count", "skeleton"), [(68, "face_68"), (98, "face_68"), (133, "body_15"), (26, "body_15")])
def test_joints_without_names_are_told_by_their_number(tmp_path, count, skeleton):
    points_S2 = np.random.default_rng(0).integers(1, 300, (count, 2))
    keypoints = np.column_stack([points_S2, np.full(count, 2)]).ravel().tolist()
    for categories in ([], [{"id": 1, "keypoints": []}]):
        content = {"annotations": [{"id": 1, "category_id": 1, "keypoints": keypoints}], "categories": categories}
        (tmp_path / "p.json").write_text(json.dumps(content))
        poses, _ = read(tmp_path / "p.json")
        assert poses.skeleton_name == skeleton
        np.testing.assert_allclose(uncrop(poses.keypoints_NJ2, poses.crop_N3)[0, 0], points_S2[0], atol=1e-3)


def test_a_file_without_the_needed_joints_says_which(write):
    names = ["tail" if name == "nose" else name for name in JOINTS]
    with pytest.raises(DataError, match=r"no joint 'nose' among the 17 there \(tail, left_eye.*--mapping"):
        read(write([person()], names))


@given(json_value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(int("9" * 400)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=12,
))  # fmt: skip
def test_json_of_any_shape_is_read_or_refused_in_one_line(tmp_path, json_value):
    good = person(1)
    contents = [json_value, {"annotations": json_value}]
    contents += [{"annotations": [json_value, good | {"image_id": json_value, "id": json_value}]}]
    changed = {"annotations": [good | {"keypoints": json_value}]}
    contents += [changed | {"categories": json_value, "images": json_value}]
    for content in contents:
        (tmp_path / "p.json").write_text(json.dumps(content))
        with contextlib.suppress(DataError):
            read(tmp_path / "p.json")


def test_a_file_without_a_complete_person_is_refused(write):
    with pytest.raises(DataError, match="no usable pose there: 2 joints missing"):
        read(write([unlabel(person(i), "nose") for i in range(2)]))


@pytest.mark.slow
def test_the_real_set_gives_its_published_number_of_persons_within_seconds(real_data):
    start = time.monotonic()
    poses, report = read(real_data / "coco2017_keypoints" / "person_keypoints_train2017.json.gz")
    assert time.monotonic() - start < 30  # about 3 on a free core
    assert (report.read, report.kept, report.dropped) == (119_614, 25_966, {"joints missing": 93_648})
    assert poses.keypoints_NJ2.min() >= 0.0999 and poses.keypoints_NJ2.max() <= 0.9001


def test_the_real_pictures_are_read(real_data):
    _, report = read(real_data / "coco2017_keypoints" / "person_keypoints_train2017_pictures.json")
    assert report.read == 40 and report.groups <= 4
