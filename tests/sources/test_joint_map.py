import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import BODY_15, FACE_68
from flexpose_ray.sources.joint_map import read_mapping

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
        ("head: !!python/object/apply:os.getcwd []", "broken YAML"),
        (b"\xff\xfe\xfa", "broken YAML"),
    ],
)
def test_a_mapping_that_cannot_be_used_says_why(write, content, problem):
    with pytest.raises(ConfigError, match=problem):
        read_mapping(write(content))


def test_a_missing_mapping_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml: no such mapping file"):
        read_mapping(tmp_path / "none.yaml")
