import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.cameras import TURNS, Cameras, body_length
from flexpose_ray.sources.checks import KNEES, UPRIGHT
from flexpose_ray.sources.formats.motion import CMU_38
from flexpose_ray.sources.known import known_map
from flexpose_ray.sources.read import read_source

AT = {joint: i for i, joint in enumerate(BODY_15.joints)}


def person(frames=4, seed=0):
    """Somebody upright who faces +z, so that the left is at +x; a little different in every frame."""
    places = {"head": (0, 1.7), "neck": (0, 1.45), "pelvis": (0, 0.95)}
    for side, sign in (("left", 1), ("right", -1)):
        limbs = {"shoulder": (0.2, 1.4), "elbow": (0.25, 1.1), "wrist": (0.3, 0.9)}
        limbs |= {"hip": (0.1, 0.95), "knee": (0.1, 0.5), "ankle": (0.1, 0.1)}
        places |= {f"{side}_{part}": (sign * x, y) for part, (x, y) in limbs.items()}
    body_J3 = np.array([(*places[joint], 0) for joint in BODY_15.joints])
    return body_J3 + np.random.default_rng(seed).normal(0, 0.01, (frames, 15, 3))


def bvh(joints, frames=3):
    """A flat file: every joint a child of the first, each with its own place."""
    body_FJ3 = person(frames)
    channels = "CHANNELS 3 Xposition Yposition Zposition\n"
    text = "HIERARCHY\nROOT origin\n{\nOFFSET 0 0 0\nCHANNELS 0\n"
    text += "".join(f"JOINT {joint}\n{{\nOFFSET 0 0 0\n{channels}}}\n" for joint in joints)
    rows = [" ".join(f"{v:.6f}" for v in frame.ravel()) for frame in body_FJ3]
    return text + f"}}\nMOTION\nFrames: {frames}\nFrame Time: 0.1\n" + "\n".join(rows) + "\n"


@pytest.fixture
def npz(tmp_path):
    """Two clips of our own joints, of 4 and 2 frames."""
    path = tmp_path / "clips.npz"
    np.savez(path, **{"walk/a": person(), "run/b": person(2, 1), "joints": np.array(BODY_15.joints)})
    return path


def test_four_fixed_cameras_see_every_frame_as_one_group(npz):
    poses, report = read_source(f"motion:{npz}?cameras=fixed")
    assert list(poses.group_N) == ["run/b"] * 8 + ["walk/a"] * 16
    assert report.labels == {"run": 8, "walk": 16} and report.groups == 2
    x_NJ, y_NJ = np.moveaxis(poses.keypoints_NJ2, 2, 0)
    left_is_right_N = x_NJ[:, AT["left_hip"]] > x_NJ[:, AT["right_hip"]]
    assert left_is_right_N.tolist() == [True, False, False, True] * 6  # 45 and 315 degrees see the face
    assert (y_NJ[:, AT["left_ankle"]] > y_NJ[:, AT["head"]] + 0.5).all()


def test_fixed_cameras_look_down_by_ten_degrees_from_two_and_a_half_lengths():
    ring_FJ3 = person(1)
    pixels_NJ2, frame_N = Cameras(True, 1, 4).see(ring_FJ3, np.random.default_rng(0), "clip")
    middle_3, distance = ring_FJ3[0].mean(0), 2.5 * body_length(ring_FJ3)
    yaw, pitch = np.radians([135, 10])
    eye_3 = middle_3 + distance * np.array([np.cos(pitch) * np.sin(yaw), np.sin(pitch), np.cos(pitch) * np.cos(yaw)])
    ray_3, away_3 = ring_FJ3[0, AT["left_wrist"]] - eye_3, middle_3 - eye_3
    angle = np.arccos(ray_3 @ away_3 / np.linalg.norm(ray_3) / np.linalg.norm(away_3))
    assert np.hypot(*pixels_NJ2[1, AT["left_wrist"]]) == pytest.approx(1000 * np.tan(angle), rel=1e-9)
    assert body_length(ring_FJ3) == pytest.approx(0.25 + 0.5 + 0.45 + 0.4, abs=0.03) and list(frame_N) == [0] * 4


def test_random_cameras_repeat_with_their_seed_and_differ_between_frames(npz):
    first, again, other = (
        read_source(f"motion:{npz}?cameras=random&seed={seed}")[0].keypoints_NJ2 for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert len(first) == 6 and np.abs(first - other).max(axis=(1, 2)).min() > 0.001
    widths_N = np.ptp(first[:, [AT["left_hip"], AT["right_hip"]], 0], axis=1)
    assert widths_N.std() > 0.01


def test_views_and_every_multiply_and_thin_the_frames(npz):
    poses, _ = read_source(f"motion:{npz}?cameras=random&views=3&every=3&label=stroll")
    assert list(poses.group_N) == ["run/b"] * 3 + ["walk/a"] * 6 and set(poses.label_N) == {"stroll"}
    every, _ = read_source(f"motion:{npz}?cameras=fixed&every=2")
    whole, _ = read_source(f"motion:{npz}?cameras=fixed")
    np.testing.assert_allclose(every.keypoints_NJ2[4:8], whole.keypoints_NJ2[8:12])


def test_the_unit_of_length_does_not_matter(npz, tmp_path):
    inches = {"walk/a": 39.37 * person(), "run/b": 39.37 * person(2, 1), "joints": np.array(BODY_15.joints)}
    np.savez(tmp_path / "inches.npz", **inches)
    sets = [read_source(f"motion:{file}?cameras=random")[0].keypoints_NJ2 for file in (npz, tmp_path / "inches.npz")]
    np.testing.assert_allclose(*sets, atol=1e-5)


def turned(body_FJ3, up):
    """The same people in axes whose ``up`` points up; turned, not mirrored."""
    columns, signs = TURNS[up]
    turned_FJ3 = np.empty_like(body_FJ3)
    turned_FJ3[..., columns] = body_FJ3 * signs
    return turned_FJ3


@pytest.mark.parametrize("up", TURNS)
def test_any_axis_may_be_up_and_sides_stay(tmp_path, up):
    assert np.linalg.det(turned(np.eye(3), up)) == pytest.approx(1), "a mirror"
    joints = np.array(BODY_15.joints)
    np.savez(tmp_path / "y.npz", **{"walk/a": person(), "joints": joints})
    np.savez(tmp_path / "other.npz", **{"walk/a": turned(person(), up), "joints": joints})
    expected, _ = read_source(f"motion:{tmp_path}/y.npz?cameras=fixed")
    poses, report = read_source(f"motion:{tmp_path}/other.npz?cameras=fixed&up={up}")
    np.testing.assert_allclose(poses.keypoints_NJ2, expected.keypoints_NJ2, atol=1e-6)
    assert report.checks[UPRIGHT] == 1 and report.warnings == ()
    if up != "y":
        _, report = read_source(f"motion:{tmp_path}/other.npz?cameras=fixed")
        assert report.checks[UPRIGHT] == 0 and f"up={up} mends it" in report.warnings[0]


def test_knees_that_bend_backwards_tell_of_exchanged_sides(tmp_path):
    walking_FJ3 = person(8)
    walking_FJ3[:, [AT["left_knee"], AT["right_knee"]], 2] += 0.1  # people face +z
    np.savez(tmp_path / "a.npz", **{"walk/a": walking_FJ3, "joints": np.array(BODY_15.joints)})
    assert read_source(f"motion:{tmp_path}/a.npz?cameras=fixed")[1].checks[KNEES] == 1
    _, report = read_source(f"motion:{tmp_path}/a.npz?cameras=fixed&swap_sides=yes")
    assert report.checks[KNEES] == 0 and "swap_sides=no mends it" in report.warnings[0]


LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
PROGRAMS = {
    "mixamo": ("mixamorig:Head mixamorig:Neck mixamorig:Hips", "mixamorig:{S}{}", "Arm ForeArm Hand UpLeg Leg Foot"),
    "lafan": ("Head Neck Hips", "{S}{}", "Arm ForeArm Hand UpLeg Leg Foot"),
    "rokoko": ("Head Neck Hips", "{S}{}", "Arm ForeArm Hand Thigh Shin Foot"),
    "unity": ("Head Neck Hips", "{S}{}", "UpperArm LowerArm Hand UpperLeg LowerLeg Foot"),
    "bandai": ("Head Neck Hips", "{}_{L}", "UpperArm LowerArm Hand UpperLeg LowerLeg Foot"),
    "unreal": ("head neck_01 pelvis", "{}_{l}", "upperarm lowerarm hand thigh calf foot"),
    "biped": ("Bip01_Head Bip01_Neck Bip01_Pelvis", "Bip01_{L}_{}", "UpperArm Forearm Hand Thigh Calf Foot"),
    "cmu": ("Head lowerneck Hips", "{S}{}", "Shoulder Elbow Wrist Hip Knee Ankle"),
    "smpl": ("Head Neck Pelvis", "{L}_{}", "Shoulder Elbow Wrist Hip Knee Ankle"),
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_names_of_programs_need_no_mapping_in_any_order(tmp_path, program):
    middle, form, limbs = PROGRAMS[program]
    names = dict(zip(("head", "neck", "pelvis"), middle.split(), strict=True))
    for joint in BODY_15.joints[3:]:
        side, limb = joint.split("_")
        word = limbs.split()[LIMBS.index(limb)]
        names[joint] = form.format(word, S=side.title(), L=side[0].upper(), l=side[0])
    others = [name for name in ("LeftShoulder", "Spine", "Head_top") if name not in names.values()]
    own = [names[joint] for joint in BODY_15.joints]
    (tmp_path / "known.bvh").write_text(bvh(own))
    (tmp_path / "ours.bvh").write_text(bvh(BODY_15.joints))
    poses, ours = (read_source(f"bvh:{tmp_path}/{name}.bvh?cameras=fixed")[0] for name in ("known", "ours"))
    np.testing.assert_array_equal(poses.keypoints_NJ2, ours.keypoints_NJ2)
    joint_map = known_map([*others, *own[::-1]])
    assert joint_map == {joint: (names[joint],) for joint in BODY_15.joints}


def test_a_file_alone_is_named_by_itself(tmp_path):
    own = list(BODY_15.joints)
    (tmp_path / "known.bvh").write_text(bvh(own))
    (tmp_path / "ours.bvh").write_text(bvh(BODY_15.joints))
    poses, ours = (read_source(f"bvh:{tmp_path}/{name}.bvh?cameras=fixed")[0] for name in ("known", "ours"))
    np.testing.assert_array_equal(poses.keypoints_NJ2, ours.keypoints_NJ2)
    assert set(poses.label_N) == {""} and set(poses.group_N) == {"known"}


def test_a_mapping_serves_other_joints(tmp_path):
    own = [f"bone {i}" for i in range(15)]
    (tmp_path / "own.bvh").write_text(bvh(own))
    (tmp_path / "ours.bvh").write_text(bvh(BODY_15.joints))
    with pytest.raises(DataError, match=r"own\.bvh: joints that are not known: origin, bone 0.*--mapping"):
        read_source(f"bvh:{tmp_path}/own.bvh?cameras=fixed")
    (tmp_path / "map.yaml").write_text("\n".join(f"{j}: bone {i}" for i, j in enumerate(BODY_15.joints)))
    poses, _ = read_source(f"bvh:{tmp_path}/own.bvh?cameras=fixed", tmp_path / "map.yaml")
    ours, _ = read_source(f"bvh:{tmp_path}/ours.bvh?cameras=fixed")
    np.testing.assert_array_equal(poses.keypoints_NJ2, ours.keypoints_NJ2)
    with pytest.raises(DataError, match=r"ours\.bvh: no joint 'bone 0' there for head"):
        read_source(f"bvh:{tmp_path}/ours.bvh?cameras=fixed", tmp_path / "map.yaml")


def test_a_folder_is_read_through_and_names_of_bandai_namco_tell_the_action(tmp_path):
    (tmp_path / "dataset-2").mkdir()
    (tmp_path / "dataset-2" / "dataset-2_wave-both-hands_not-confident_001.bvh").write_text(bvh(BODY_15.joints, 2))
    (tmp_path / "other_walk_1.bvh").write_text(bvh(BODY_15.joints, 1))
    (tmp_path / "LICENSE").write_text("no motion")
    poses, report = read_source(f"bvh:{tmp_path}?cameras=fixed")
    assert report.labels == {"": 4, "wave-both-hands": 8}
    assert set(poses.group_N) == {"dataset-2/dataset-2_wave-both-hands_not-confident_001", "other_walk_1"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("", "no cameras to see the motion .*cameras=fixed or "),
        ("?seed=1", "no cameras"),
        ("?cameras=orbit", "unknown cameras 'orbit'"),
        ("?cameras=fixed&seed=1", "seed is no option of fixed cameras"),
        ("?cameras=random&yaw=1", "unknown option 'yaw'"),
        ("?cameras=random&views=0", "views is '0', expected a whole number"),
        ("?cameras=random&seed=-1", "seed is '-1'"),
        ("?cameras=fixed&every=", "every is ''"),
        ("?cameras=fixed&every=9999999999", "every is '9999999999'"),
        ("?cameras=fixed&up=w", "up is 'w', expected an axis"),
        ("?cameras=fixed&size=640x480", "unknown option 'size'"),
        ("?cameras=fixed&cameras=random", "cameras stands there twice"),
    ],
)
def test_bad_options_are_named(npz, query, told):
    with pytest.raises(ConfigError, match=rf"source 'motion:.*clips\.npz.*': {told}"):
        read_source(f"motion:{npz}{query}")


@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({}, "no clip there"),
        ({"a/b": np.zeros((2, 38))}, r"a/b: found float64 \(2, 38\), expected numbers \(frames, 38, 3\)"),
        ({"a/b": np.zeros((2, 15, 3))}, r"expected numbers \(frames, 38, 3\) .*`joints`"),
        ({"a/b": np.full((2, 38, 3), np.nan)}, "a/b frame 1: NaN or infinite"),
        ({"a/b": np.zeros((2, 38, 3))}, "a/b frame 1: all joints are in one point"),
        ({"a/b": np.zeros((0, 38, 3))}, "no usable pose there: it is empty"),
        ({"a/b": np.zeros((1, 3, 3)), "joints": np.array(["x", "y", "z"])}, "joints that are not known: x, y, z"),
    ],
)
def test_a_broken_npz_is_named(tmp_path, arrays, told):
    np.savez(tmp_path / "clips.npz", **arrays)
    with pytest.raises(DataError, match=rf"clips\.npz.*{told}"):
        read_source(f"motion:{tmp_path}/clips.npz?cameras=fixed")


def test_a_joint_far_away_names_the_frame(tmp_path):
    body_FJ3 = person()
    body_FJ3[2, AT["left_wrist"]] = 50
    np.savez(tmp_path / "clips.npz", **{"walk/a": body_FJ3, "joints": np.array(BODY_15.joints)})
    with pytest.raises(DataError, match="walk/a frame 3: a joint is far away from the others"):
        read_source(f"motion:{tmp_path}/clips.npz?cameras=fixed")


def test_a_joint_there_twice_and_a_folder_without_motion_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no \.bvh or \.bvh\.gz there"):
        read_source(f"bvh:{tmp_path}?cameras=fixed")
    (tmp_path / "twice.bvh").write_text(bvh([*BODY_15.joints[:-1], "head"]).replace("origin", "right_ankle"))
    with pytest.raises(DataError, match="two joints have the name 'head'"):
        read_source(f"bvh:{tmp_path}?cameras=fixed")
    (tmp_path / "no.npz").write_text("no archive")
    with pytest.raises(DataError, match=r"no\.npz: not a readable \.npz"):
        read_source(f"motion:{tmp_path}/no.npz?cameras=fixed")


# frames per action at 10 Hz
BANDAI_FRAMES = {
    "walk": 6016, "wave-both-hands": 3530, "wave-right-hand": 3517, "wave-left-hand": 3511, "walk-turn-right": 2652,
    "walk-turn-left": 2549, "run": 2240, "raise-up-right-hand": 1391, "raise-up-left-hand": 1291,
    "raise-up-both-hands": 1278, "walk-back": 902, "bye": 727, "byebye": 655, "dance-short": 634, "guide": 622,
    "walk-left": 596, "walk-right": 593, "bow": 548, "dash": 321, "slash": 294, "punch": 170, "kick": 120, "call": 111,
    "respond": 36,
}  # fmt: skip
CMU_FRAMES = {
    "basketball": 610, "basketball_signal": 3976, "directing_traffic": 1683, "jumping": 759, "running": 211,
    "soccer": 692, "walking": 526, "walking_extra": 6736,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("source", "frames", "clips"),
    [
        ("bvh:{}/bandai_namco_motion?cameras=random", BANDAI_FRAMES, 631),
        ("bvh:{}/cmu_mocap/bvh_walk?cameras=random&label=walk", {"walk": 7321}, 59),
        ("motion:{}/cmu_mocap/cmu_8actions_3d_38j_30hz.npz?cameras=random", CMU_FRAMES, 88),
    ],
)
def test_the_real_sets_give_all_their_frames_upright(real_data, source, frames, clips):
    poses, report = read_source(source.format(real_data))
    assert (report.labels, report.groups, report.dropped) == (frames, clips, {})
    y_NJ = poses.keypoints_NJ2[..., 1]
    feet_N = (y_NJ[:, AT["left_ankle"]] + y_NJ[:, AT["right_ankle"]]) / 2
    assert (y_NJ[:, AT["head"]] < y_NJ[:, AT["pelvis"]]).mean() > 0.99
    assert (y_NJ[:, AT["pelvis"]] < feet_N).mean() > 0.99


def test_the_38_joints_of_cmu_are_named_in_their_order():
    assert len(CMU_38) == len(set(CMU_38)) == 38
    assert [CMU_38.index(name) for name in ("LeftAnkle", "RightHip", "Head", "LeftWrist", "RightWrist")] == [
        4, 8, 18, 23, 32,
    ]  # fmt: skip
