import gzip
import json
import time

import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.form import to_pose_set
from flexpose_ray.sources.formats.coco import JOINTS, read_coco


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


@pytest.mark.parametrize("content", [gzip.compress(b'{"annotations": []}')[:-9], b'{"annotations": "\xff"}'])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "damaged.json.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged\.json\.gz: damaged file"):
        read(path)


@pytest.mark.parametrize("content", ["[]", "{}", '{"annotations": {"a": 1}}'])
def test_json_of_another_kind_is_refused(tmp_path, content):
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(DataError, match='no list "annotations"'):
        read(path)


@pytest.mark.parametrize("annotations", [[], [{"id": 1, "bbox": [0, 0, 1, 1]}]])
def test_a_file_without_keypoints_is_refused(write, annotations):
    with pytest.raises(DataError, match=f"none of {len(annotations)} annotations has keypoints"):
        read(write(annotations))


def test_a_wrong_number_of_keypoints_names_the_annotation(write):
    with pytest.raises(DataError, match=r"annotation 7: found 48 keypoint numbers, expected 51 .* 17 joints"):
        read(write([person(), person(7, keypoints=[1] * 48)]))


@pytest.mark.parametrize("value", ["12", None, [1]])
def test_a_keypoint_that_is_no_number_names_the_annotation(write, value):
    with pytest.raises(DataError, match="annotation 3: a keypoint is not a number"):
        read(write([person(3, keypoints=[value] * 51)]))


def test_nan_names_annotation_and_joint(write):
    given = person(4)
    given["keypoints"][3 * JOINTS.index("left_elbow")] = float("nan")
    with pytest.raises(DataError, match="annotation 4: left_elbow is NaN, infinite or empty"):
        read(write([person(), given]))


def test_a_file_without_the_needed_joints_says_which(write):
    names = ["tail" if name == "nose" else name for name in JOINTS]
    with pytest.raises(DataError, match=r"no joint 'nose' there, found tail, left_eye.*--mapping"):
        read(write([person()], names))


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
