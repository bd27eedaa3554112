import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.formats.coco import JOINTS
from tests.sources.reading import joints, read

PIXELS_NS2 = np.random.default_rng(0).integers(10, 400, (2, 17, 2)).astype(float)


def line(pixels_S2, size=(640, 480), third=2, kind=0):
    shares_S2 = pixels_S2 / size
    points = " ".join(f"{x:.9f} {y:.9f}" + (f" {third}" if third is not None else "") for x, y in shares_S2)
    return f"{kind} 0.5 0.5 0.2 0.9 {points}"


@pytest.fixture
def folder(tmp_path):
    """A set with two pictures of 640 x 480 in ``images`` and their labels in ``labels``."""
    for part in ("images/train", "labels/train"):
        (tmp_path / part).mkdir(parents=True)
    for name, end in (("a", "png"), ("b", "jpg")):
        Image.new("L", (640, 480)).save(tmp_path / "images/train" / f"{name}.{end}")
        (tmp_path / "labels/train" / f"{name}.txt").write_text("\n".join(line(p) for p in PIXELS_NS2) + "\n")
    (tmp_path / "labels" / "classes.txt").write_text("person\n")
    return tmp_path


def expected(pixels_S2):
    at = dict(zip(JOINTS, pixels_S2, strict=True))
    found = {joint: at[joint] for joint in JOINTS if joint.split("_")[-1] not in ("eye", "ear", "nose")}
    found |= {"head": at["nose"], "neck": (at["left_shoulder"] + at["right_shoulder"]) / 2}
    return found | {"pelvis": (at["left_hip"] + at["right_hip"]) / 2}


def assert_joints(found, pixels_S2):
    for joint, xy in expected(pixels_S2).items():
        assert found[joint] == pytest.approx(tuple(xy), abs=0.02), joint


@pytest.mark.parametrize("place", ["", "labels", "labels/train"])
def test_joints_come_out_in_the_pictures_pixels(folder, place):
    assert_joints(joints("yolo", folder / place, 1), PIXELS_NS2[1])
    _, report = read("yolo", folder / place)
    assert (report.kept, report.groups) == (4, 2) and report.checks["joints outside the picture"] == 0


def test_the_size_may_be_said_and_is_never_guessed(folder):
    (folder / "images/train/a.png").unlink()
    with pytest.raises(DataError, match=r"a\.txt: shares of a picture that is not there \(put .*size=640x480"):
        read("yolo", folder)
    assert_joints(joints("yolo", folder, size="640x480"), PIXELS_NS2[0])
    with pytest.raises(ConfigError, match="size is '640', expected WIDTHxHEIGHT"):
        read("yolo", folder, size="640")


def test_a_picture_on_its_side_is_measured_as_it_is_shown(folder):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (480, 640)).save(folder / "images/train/b.jpg", exif=exif)
    assert_joints(joints("yolo", folder, 3), PIXELS_NS2[1])


@pytest.mark.parametrize("third", [None, 2, 1, 0.9])
def test_a_joint_has_two_or_three_numbers(tmp_path, third):
    (tmp_path / "a.txt").write_text(line(PIXELS_NS2[0], third=third))
    assert_joints(joints("yolo", tmp_path, size="640x480"), PIXELS_NS2[0])


def test_joints_of_no_visibility_are_gaps(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join([line(PIXELS_NS2[0]), line(PIXELS_NS2[1], third=0)]))
    assert read("yolo", tmp_path, size="640x480")[1].dropped == {"joints missing": 1}


def test_other_joints_are_numbered_and_told_by_data_yaml(tmp_path):
    hands_NS2 = np.random.default_rng(1).integers(10, 400, (3, 21, 2)).astype(float)
    (tmp_path / "labels").mkdir()
    for axes, third in ((2, None), (3, 2)):
        (tmp_path / "data.yaml").write_text(f"kpt_shape: [21, {axes}]\nnames: {{0: hand}}\n")
        (tmp_path / "labels" / "a.txt").write_text("\n".join(line(p, third=third) for p in hands_NS2))
        found = joints("yolo", tmp_path / "labels", 2, size="640x480", skeleton="hand_21")
        assert found["wrist"] == pytest.approx(tuple(hands_NS2[2, 0]), abs=0.02)
        assert found["little_4"] == pytest.approx(tuple(hands_NS2[2, 20]), abs=0.02)


def test_one_class_may_be_chosen(folder):
    path = folder / "labels/train/a.txt"
    path.write_text(path.read_text() + line(PIXELS_NS2[0], kind=3))
    _, report = read("yolo", folder, category="0")
    assert report.dropped == {"of class 3": 1} and report.kept == 4


@pytest.mark.parametrize(
    ("content", "told"),
    [("0 0.5 0.5 x 0.2 1 1 1", "not a number"), ("0 0.5 0.5 0.1 0.1", "found 5 numbers"), ("0 1", "found 2 numbers")],
)
def test_a_bad_line_is_named(tmp_path, content, told):
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(DataError, match=rf"a line 1: {told}"):
        read("yolo", tmp_path, size="640x480")


def test_a_folder_without_labels_or_with_a_broken_picture_is_refused(folder, tmp_path):
    (folder / "images/train/b.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"b\.jpg: not a readable picture"):
        read("yolo", folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.txt there"):
        read("yolo", tmp_path / "empty")


@given(
    changes=st.lists(st.tuples(st.integers(0, 700), st.binary(max_size=5)), max_size=4), picture=st.binary(max_size=40)
)
def test_damaged_files_are_read_or_refused_in_one_line(folder, changes, picture):
    path = folder / "labels/train/a.txt"
    content = bytearray("\n".join(line(p) for p in PIXELS_NS2).encode())
    for place, new in changes:
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))
    if picture:
        (folder / "images/train/a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + picture)
    with contextlib.suppress(DataError):
        read("yolo", folder)
