import contextlib

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import ConfigError, DataError
from tests.sources.reading import joints, read

NAMES = [
    "Pelvis", "L_Hip", "R_Hip", "Spine1", "L_Knee", "R_Knee", "Spine2", "L_Ankle", "R_Ankle", "Spine3", "L_Foot",
    "R_Foot", "Neck", "L_Collar", "R_Collar", "Head", "L_Shoulder", "R_Shoulder", "L_Elbow", "R_Elbow", "L_Wrist",
    "R_Wrist", "L_Hand", "R_Hand",
]  # fmt: skip
POINTS_FS2 = np.random.default_rng(0).integers(20, 220, (6, 24, 2)).astype(np.float32)


def write(folder, points_FS2=POINTS_FS2, sequence="01_01", clip=1):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{sequence}_c{clip:04d}_info.mat"
    scipy.io.savemat(path, {"joints2D": points_FS2.transpose(2, 1, 0), "sequence": f"{sequence}_c{clip:04d}"})
    return path


def test_every_joint_is_read_by_name_and_the_mirrored_sides_put_right(tmp_path):
    found, at = joints("surreal", write(tmp_path), 2), dict(zip(NAMES, POINTS_FS2[2].tolist(), strict=True))
    assert {joint: found[joint] for joint in ("head", "neck", "pelvis")} == {
        "head": tuple(at["Head"]), "neck": tuple(at["Neck"]), "pelvis": tuple(at["Pelvis"]),
    }  # fmt: skip
    for side, other in (("left", "R"), ("right", "L")):
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
            assert found[f"{side}_{part}"] == tuple(at[f"{other}_{part.title()}"])


def test_people_seen_from_the_front_have_their_left_on_the_pictures_right(tmp_path):
    """The set's cameras mirror: named left is x smaller in the picture of somebody who faces the camera."""
    body = {"Head": (160, 40), "Neck": (160, 60), "Pelvis": (160, 120)}
    for name, sign in (("L", 1), ("R", -1)):  # as such a camera shows them
        limbs = {"Shoulder": (18, 65), "Elbow": (26, 90), "Wrist": (30, 115), "Hip": (10, 120), "Knee": (12, 160)}
        body |= {f"{name}_{part}": (160 - sign * x, y) for part, (x, y) in (limbs | {"Ankle": (13, 200)}).items()}
    person_S2 = np.array([body.get(name, (160, 100)) for name in NAMES], np.float32)
    _, report = read("surreal", write(tmp_path, np.tile(person_S2, (12, 1, 1))))
    assert report.checks["left on the picture's right"] == 1 and report.warnings == ()


def test_clips_of_a_sequence_are_one_group_and_frames_are_chosen(tmp_path):
    write(tmp_path / "run0", clip=1)
    write(tmp_path / "run1", clip=2)
    write(tmp_path / "run1", POINTS_FS2[:1, :, :], sequence="02_03")
    poses, report = read("surreal", tmp_path)
    assert report.kept == 13 and sorted(set(poses.group_N)) == ["01_01", "02_03"]
    assert read("surreal", tmp_path, every="4")[1].kept == 5
    with pytest.raises(ConfigError, match="every is 'x'"):
        read("surreal", tmp_path, every="x")


def test_a_clip_of_one_frame_has_lost_its_last_axis(tmp_path):
    scipy.io.savemat(tmp_path / "01_02_c0001_info.mat", {"joints2D": POINTS_FS2[0].T})
    assert read("surreal", tmp_path)[1].kept == 1


def test_frames_without_a_person_and_misshapen_people_are_counted(tmp_path):
    none_FS2 = POINTS_FS2.copy()
    none_FS2[1], none_FS2[2] = 0, [0, 238]
    write(tmp_path, none_FS2)
    for sequence in ("18_05", "19_01", "143_21"):
        write(tmp_path, POINTS_FS2[:2], sequence)
    write(tmp_path, POINTS_FS2[:1], "143_2")
    assert read("surreal", tmp_path)[1].dropped == {"of misshapen people": 6, "without a person": 2}


def test_what_is_not_the_set_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \*_info\.mat there"):
        read("surreal", tmp_path)
    scipy.io.savemat(tmp_path / "a_info.mat", {"joints2D": np.zeros((2, 17, 5))})
    with pytest.raises(DataError, match=r"joints2D is \(2, 17, 5\), expected \(2, 24, frames\)"):
        read("surreal", tmp_path)


@given(changes=st.lists(st.tuples(st.integers(0, 3000), st.binary(max_size=6)), max_size=4))
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, changes):
    path = write(tmp_path)
    content = bytearray(path.read_bytes())
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        read("surreal", path)
