import contextlib
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import DataError
from flexpose_ray.sources.formats.bvh import read_bvh

HIERARCHY = """HIERARCHY
ROOT hips
{
  OFFSET 7 7 7
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT chest
  {
    OFFSET 0 10 0
    CHANNELS 3 Zrotation Yrotation Xrotation
    JOINT hand
    {
      OFFSET 99 99 99
      CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
      End Site
      {
        OFFSET 0 1 0
      }
    }
  }
}
"""
REST = "1 2 3  0 0 0  0 0 0  0 0 5  0 0 0"
BENT = "1 2 3  90 0 0  0 90 0  0 0 5  90 90 0"


def motion(*frames, count=None):
    return f"MOTION\nFrames: {count or len(frames)}\nFrame Time: 0.1\n" + "\n".join(frames) + "\n"


def write(tmp_path, text):
    (tmp_path / "clip.bvh").write_text(text)
    return tmp_path / "clip.bvh"


def test_joints_are_where_hand_computation_puts_them(tmp_path):
    names, world_FS3, _ = read_bvh(write(tmp_path, HIERARCHY + motion(REST, BENT)))
    assert names == ["hips", "chest", "hand", "hand_end"]
    # Positions stand in the offset's place, of the root (7 7 7) and of the hand (99 99 99).
    np.testing.assert_allclose(world_FS3[0], [[1, 2, 3], [1, 12, 3], [1, 12, 8], [1, 13, 8]], atol=1e-12)
    # hips turn by 90 about z: the chest's (0, 10, 0) goes to (-10, 0, 0). The chest turns by 90 about its y: the hand's
    # (0, 0, 5) to (5, 0, 0), by the hips to (0, 5, 0). The hand turns first about z, then x, in the turned axes:
    # Rz Rx (0, 1, 0) = Rz (0, 0, 1) = (0, 0, 1), by the chest (1, 0, 0), by the hips (0, 1, 0).
    np.testing.assert_allclose(world_FS3[1], [[1, 2, 3], [-9, 2, 3], [-9, 7, 3], [-9, 8, 3]], atol=1e-12)


def test_the_order_of_the_channels_is_the_order_of_the_turns(tmp_path):
    text = HIERARCHY.replace("Zrotation Xrotation Yrotation\n      End", "Xrotation Zrotation Yrotation\n      End")
    _, world_FS3, _ = read_bvh(write(tmp_path, text + motion(BENT)))
    # Rx Rz (0, 1, 0) = Rx (-1, 0, 0) = (-1, 0, 0), by the chest (0, 0, 1), by the hips (0, 0, 1)
    np.testing.assert_allclose(world_FS3[0, 3] - world_FS3[0, 2], [0, 0, 1], atol=1e-12)


def test_braces_and_tabs_may_stand_anywhere_and_gzip_is_read_by_content(tmp_path):
    text = HIERARCHY.replace("\n  {\n", " {\n").replace("JOINT hand", "JOINT\thand").replace("OFFSET 0", "OFFSET\t0")
    *expected, _ = read_bvh(write(tmp_path, HIERARCHY + motion(REST, BENT)))
    (tmp_path / "packed.bvh.gz").write_bytes(gzip.compress((text + motion(REST, BENT) + "\n\n").encode()))
    names, world_FS3, _ = read_bvh(tmp_path / "packed.bvh.gz")
    assert names == expected[0]
    np.testing.assert_array_equal(world_FS3, expected[1])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no HIERARCHY and MOTION"),
        (HIERARCHY, "no HIERARCHY and MOTION"),
        (HIERARCHY[:-2] + motion(REST), "hips is not closed"),
        ("HIERARCHY\n" + motion(REST), "no ROOT there"),
        (HIERARCHY + HIERARCHY[10:] + motion(REST), "line 21: ROOT in a place where it cannot be"),
        (HIERARCHY.replace("ROOT", "JOINT") + motion(REST), "line 2: JOINT in a place"),
        (HIERARCHY.replace("CHANNELS 3", "CHANNELS 4") + motion(REST), "line 9: CHANNELS 4 with 3 names"),
        (HIERARCHY.replace("CHANNELS 3 Z", "CHANNELS 3 W") + motion(REST), "line 9: unknown channel 'Wrotation'"),
        (HIERARCHY.replace("OFFSET 0 10 0", "OFFSET 0 10") + motion(REST), "line 8: OFFSET 0 10, expected three"),
        (HIERARCHY.replace("OFFSET 0 10 0", "OFFSET 0 nan 0") + motion(REST), "line 8: OFFSET 0 nan 0, expected three"),
        (HIERARCHY.replace("    OFFSET 0 10 0\n", "") + motion(REST), "chest has no OFFSET"),
        (HIERARCHY.replace("OFFSET", "OFSET") + motion(REST), "line 4: cannot use 'OFSET 7 7 7'"),
        (HIERARCHY + motion(REST, BENT[:-2]), "line 25: found 14 values, expected 15"),
        (HIERARCHY + motion(REST + " 0"), "line 24: found 16 values, expected 15"),
        (HIERARCHY + motion(REST, count=3), "found 1 frames, expected the 3 of its header"),
        (HIERARCHY + motion(REST, BENT, REST, count=1), "found 3 frames, expected the 1 of its header"),
        (HIERARCHY + motion(), "no frame there, its header counts 0"),
        (HIERARCHY + motion(REST, REST.replace("5", "nan")), "line 25: a value is NaN or infinite"),
        (HIERARCHY + motion(REST.replace("5", "five")), "is no number.*five"),
        (HIERARCHY + "MOTION\n" + REST, "line 22: no Frames: and Frame Time:"),
        (HIERARCHY + "MOTION\n", "no Frames: and Frame Time:"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, text, told):
    with pytest.raises(DataError, match=rf"clip\.bvh.*{told}"):
        read_bvh(write(tmp_path, text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("HIERARCHY", "\n\nhierarchy"),
        ("HIERARCHY\n", "HIERARCHY "),
        ("MOTION", "Motion "),
        ("OFFSET", "Offset"),
        ("CHANNELS", "Channels"),
        ("Zrotation", "zRotation"),
        ("JOINT", "joint"),
        ("End Site", "End site"),
        ("End Site", "ENDSITE"),
        ("End Site", "End Site:"),
        ("Frames: 2", "Frames:2"),
        ("Frames: 2", "Frames : 2.0"),
        ("Frames: 2", "  FRAMES  2 "),
        ("Frame Time: 0.1", "frame time:0.1"),
        ("Frame Time: 0.1", "FrameTime: 0.1"),
        ("OFFSET 0 10 0", "OFFSET 0 10 0  # up"),
        ("  0 0 5", "  0,0 0,0 5,0"),
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("{", "\n{\n"),
        ("\n  {", " {"),
    ],
)
def test_spellings_of_other_programs_are_read(tmp_path, old, new):
    text = HIERARCHY + motion(REST, BENT)
    names, world_FS3, _ = read_bvh(write(tmp_path, text))
    other = text.replace(old, new)
    assert other != text
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "other.BVH").write_bytes(other.encode(encoding))
        other_names, other_FS3, notes = read_bvh(tmp_path / "other.BVH")
        assert other_names == names and notes == ()
        np.testing.assert_array_equal(other_FS3, world_FS3)


@pytest.mark.parametrize("count", [1, 3])
def test_a_header_that_is_one_frame_off_is_said(tmp_path, count):
    _, world_FS3, notes = read_bvh(write(tmp_path, HIERARCHY + motion(REST, BENT, count=count)))
    assert len(world_FS3) == 2 and notes == (f"clip.bvh: found 2 frames where the header counts {count}",)


@given(changes=st.lists(st.tuples(st.integers(0, 600), st.binary(max_size=5)), max_size=4), end=st.integers(0, 700))
def test_a_damaged_file_is_read_or_refused_in_one_line(tmp_path, changes, end):
    content = bytearray((HIERARCHY + motion(REST, BENT)).encode())
    for place, new in changes:
        content[place : place + len(new)] = new
    (tmp_path / "clip.bvh").write_bytes(bytes(content[:end]))
    with contextlib.suppress(DataError):
        read_bvh(tmp_path / "clip.bvh")


def test_a_truncated_gzip_is_refused(tmp_path):
    (tmp_path / "clip.bvh.gz").write_bytes(gzip.compress((HIERARCHY + motion(REST)).encode())[:-9])
    with pytest.raises(DataError, match=r"clip\.bvh\.gz: damaged file"):
        read_bvh(tmp_path / "clip.bvh.gz")


# the toe that the foot points to, its foot, and both hips
FEET = {
    "bandai_namco_motion/dataset-1/dataset-1_walk_happy_001.bvh.gz": ("Toes_L", "Foot_L", "UpperLeg_L", "UpperLeg_R"),
    "cmu_mocap/bvh_walk/07_01.bvh.gz": ("LeftToe", "LeftAnkle", "LeftHip", "RightHip"),
}


@pytest.mark.parametrize("file", FEET)
def test_real_people_stand_and_have_their_left_on_the_left(real_data, file):
    names, world_FS3, _ = read_bvh(real_data / file)
    toe, foot, left, right = (world_FS3[:, names.index(name)] for name in FEET[file])
    assert (world_FS3[:, names.index("Head"), 1] > left[:, 1]).all() and (left[:, 1] > foot[:, 1]).all()
    ahead_F3 = np.cross([0, 1, 0], right - left)  # of somebody upright
    assert np.median(((toe - foot) * ahead_F3).sum(1)) > 0
