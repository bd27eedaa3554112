import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.skeleton import BODY_15, FACE_68, get_skeleton
from flexpose_ray.sources.joint_map import crossed_sides, form_joints, read_mapping

FULL = {joint: joint for joint in BODY_15.joints}


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "mapping.yaml"
        text = "\n".join(f"{k}: {v}" for k, v in content.items()) if isinstance(content, dict) else content
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def test_names_lists_and_indices_are_read_in_the_skeletons_order(write):
    joint_map = read_mapping(write(dict(reversed(FULL.items())) | {"neck": "[left, right]", "head": 3}))
    assert tuple(joint_map) == BODY_15.joints
    assert joint_map["neck"] == ("left", "right") and joint_map["head"] == ("3",) and joint_map["pelvis"] == ("pelvis",)


def test_the_first_of_several_that_a_pose_has_is_taken(write):
    joint_map = read_mapping(write(FULL | {"head": "{first: [nose, [left_ear, right_ear]]}"}))
    assert joint_map["head"] == [("nose",), ("left_ear", "right_ear")]
    names = ["nose", "left_ear", "right_ear"]
    points_NS2 = np.array([[[1, 1], [4, 4], [6, 8]]] * 3, float)
    missing_NS = np.array([[False, False, False], [True, False, False], [True, True, False]])
    formed_NJ2, gaps_NJ = form_joints("p", names, {"head": joint_map["head"]}, points_NS2, missing_NS)
    assert formed_NJ2[:2, 0].tolist() == [[1, 1], [5, 6]] and gaps_NJ[:, 0].tolist() == [False, False, True]


def test_a_number_is_a_name_as_it_is_written_or_else_a_place(write):
    assert read_mapping(write(FULL | {"head": "001"}))["head"] == ("001",)
    points_NS2, none_NS = np.array([[[1.0, 2], [3, 4]]]), np.zeros((1, 2), bool)
    with pytest.raises(DataError, match="no joint '0' there"):  # joints named 1 and 2: 0 is no place among them
        form_joints("p", ["1", "2"], {"head": ("0",)}, points_NS2, none_NS)
    for names, found in ((["1", "0"], [1, 2]), (["a", "b"], [3, 4])):
        formed_NJ2, _ = form_joints("p", names, {"head": ("1",)}, points_NS2, none_NS)
        assert formed_NJ2[0, 0].tolist() == found


def test_names_may_leave_out_the_files_namespace():
    points_NS2, none_NS = np.array([[[1.0, 2], [3, 4]]]), np.zeros((1, 2), bool)
    names = ["mixamorig:Hips", "mixamorig:Head"]
    for name in ("Head", "mixamorig:Head"):
        formed_NJ2, _ = form_joints("p", names, {"head": (name,)}, points_NS2, none_NS)
        assert formed_NJ2[0, 0].tolist() == [3, 4]


def test_a_mapping_that_exchanges_sides_is_told(write):
    swapped = {joint: joint.replace("left", "?").replace("right", "left").replace("?", "right") for joint in FULL}
    assert len(crossed_sides(read_mapping(write(swapped)))) == 12 and crossed_sides(read_mapping(write(FULL))) == []


def test_one_joint_for_two_is_taken_where_it_is_said_on_purpose(write):
    joint_map = read_mapping(write(FULL | {"left_wrist": "[right_wrist, right_wrist]"}))
    assert joint_map["left_wrist"] == ("right_wrist", "right_wrist")


def test_a_mapping_to_a_skeleton_of_ones_own_needs_its_joints_alone(write):
    own = get_skeleton("hand_21")
    assert tuple(read_mapping(write({joint: i for i, joint in enumerate(own.joints)}), own)) == own.joints
    with pytest.raises(ConfigError, match="thumb_1 of hand_21 is not mapped"):
        read_mapping(write(FULL | {"wrist": "w"}), own)


def test_a_mapping_to_the_face_is_read(write):
    assert tuple(read_mapping(write({joint: i for i, joint in enumerate(FACE_68.joints)}))) == FACE_68.joints


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({k: v for k, v in FULL.items() if k != "left_knee"}, "left_knee of body_15 is not mapped"),
        (FULL | {"tail": "tail"}, "body_15 has no joint 'tail'"),
        (FULL | {"head": "[]"}, r"mapping\.yaml, head: found \[\]"),
        (FULL | {"head": "{a: b}"}, r"mapping\.yaml, head: found"),
        ("- head\n- neck", "not a mapping of joints"),
        ("", "not a mapping of joints"),
        ("head: [nose", r"broken YAML: .*line 1"),
        ("head: !!python/object/apply:os.getcwd []", r"head: found \[\]"),
        (b"\xff\xfe\xfa", "broken YAML"),
        (FULL | {"head": "{first: []}"}, r"head: found \{"),
        ("head: nose\n" + "\n".join(f"{j}: {j}" for j in BODY_15.joints), "broken YAML: .*head stands twice.*line 2"),
        (FULL | {"left_wrist": "right_wrist"}, r"'right_wrist' is both left_wrist and right_wrist"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(write, content, problem):
    with pytest.raises(ConfigError, match=problem):
        read_mapping(write(content))


def test_a_missing_mapping_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such mapping file"):
        read_mapping(tmp_path / "none.yaml")
