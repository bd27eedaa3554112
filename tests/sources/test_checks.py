import numpy as np
import pytest

from flexpose_ray.pose.geometry import crop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, get_skeleton
from flexpose_ray.sources.checks import ALONG, KNEES, OUTSIDE, UPRIGHT, check, people_moments
from flexpose_ray.sources.read import read_source

AT = {joint: i for i, joint in enumerate(BODY_15.joints)}
# Every whole set of people here, read as it is.
REAL = {
    "coco": "coco:{}/coco2017_keypoints/person_keypoints_train2017.json.gz",
    "mpii": "mpii:{}/mpii/joints.csv.gz",
    "lsp": "lsp:{}/lsp/joints.mat",
    "lspet": "lsp:{}/lspet/joints.mat",
    "penn": "penn:{}/penn_action/labels_train.tar",
    "cmu": "motion:{}/cmu_mocap/cmu_8actions_3d_38j_30hz.npz?cameras=random&every=10",
    "walk": "bvh:{}/cmu_mocap/bvh_walk?cameras=fixed&every=10",
}


@pytest.fixture(scope="module")
def people():
    """Poses as people have them: drawn from the mean and covariance of COCO's, each in a group of its own."""
    mean_D, cov_DD = people_moments()
    drawn_ND = np.random.default_rng(0).multivariate_normal(mean_D, cov_DD, 400)
    return PoseSet(crop(drawn_ND.reshape(-1, 15, 2))[0])


def changed(poses, keypoints_NJ2):
    return PoseSet(crop(keypoints_NJ2)[0], poses.skeleton_name, group_N=poses.group_N)


def exchanged(poses, *pairs):
    order = list(range(15))
    for a, b in pairs:
        order[AT[a]], order[AT[b]] = AT[b], AT[a]
    return changed(poses, poses.keypoints_NJ2[:, order])


def test_people_give_no_warning(people):
    shares, warnings = check(people)
    assert warnings == () and shares["heads above ankles"] > 0.9 < shares["left on the picture's right"]


def test_exchanged_sides_are_suspected_and_the_way_out_named(people):
    shares, warnings = check(changed(people, people.keypoints_NJ2[:, list(BODY_15.flip)]))
    assert shares["left on the picture's right"] < 0.1
    assert len(warnings) == 1 and "left and right look exchanged" in warnings[0] and "swap_sides=yes" in warnings[0]


@pytest.mark.parametrize("part", ["shoulder", "elbow", "wrist", "hip", "knee", "ankle"])
def test_one_exchanged_pair_is_named(people, part):
    _, warnings = check(exchanged(people, (f"left_{part}", f"right_{part}")))
    assert len(warnings) == 1 and warnings[0].startswith(f"left and right {part} look exchanged")


@pytest.mark.parametrize("pair", [("head", "neck"), ("left_elbow", "left_wrist"), ("right_hip", "right_knee")])
def test_two_exchanged_joints_of_a_side_are_named(people, pair):
    _, warnings = check(exchanged(people, pair))
    assert len(warnings) == 1 and warnings[0].startswith(f"{pair[0]} and {pair[1]} look exchanged")


@pytest.mark.parametrize(
    ("turn", "what"),
    [
        (lambda k: k * [1, -1], "upside down"),
        (lambda k: np.stack([k[..., 1], -k[..., 0]], 2), "lying, heads to the left"),
        (lambda k: np.stack([-k[..., 1], k[..., 0]], 2), "lying, heads to the right"),
    ],
)
def test_bodies_that_stand_otherwise_are_suspected(people, turn, what):
    _, warnings = check(changed(people, turn(people.keypoints_NJ2.astype(float))))
    assert len(warnings) == 1 and warnings[0].startswith(f"bodies look {what} (heads above ankles in")


def test_two_joints_in_one_point_are_named(people):
    k_NJ2 = people.keypoints_NJ2.copy()
    k_NJ2[::3, AT["left_wrist"]] = k_NJ2[::3, AT["left_elbow"]]
    shares, warnings = check(PoseSet(k_NJ2))
    assert 0.3 < shares["two joints in one point"] < 0.4
    assert any("left_elbow and left_wrist are one point" in text for text in warnings)


def test_a_few_poses_are_not_suspected_by_chance(people):
    swapped = changed(people, people.keypoints_NJ2[:, list(BODY_15.flip)])
    assert check(swapped.take(np.arange(3)))[1] == ()
    assert len(check(swapped.take(np.arange(24)))[1]) == 1
    one_person = PoseSet(swapped.keypoints_NJ2[:24], group_N=np.full(24, "video"))
    assert check(one_person)[1] == ()  # one group says nothing of the sides


@pytest.mark.parametrize(
    ("seen", "warning"),
    [
        ({OUTSIDE: 0.9}, "90% of the poses have joints outside of their pictures"),
        ({UPRIGHT: 0.0, f"{ALONG}y": 0.0, f"{ALONG}z": 0.97}, "heads point along z in 97%): up=z mends it"),
        ({UPRIGHT: 1.0, f"{ALONG}y": 1.0, KNEES: 0.02}, "knees bend forward in 2%): swap_sides=yes mends it"),
        ({UPRIGHT: 1.0, f"{ALONG}y": 1.0, KNEES: 0.99, OUTSIDE: 0.0}, None),
    ],
)
def test_what_the_reader_saw_is_weighed(people, seen, warning):
    shares, warnings = check(people, seen)
    assert [warning in text for text in warnings] == [True] * (warning is not None)
    assert all(not what.startswith(ALONG) for what in shares)


def test_faces_upside_down_or_mirrored_are_suspected():
    face_J2 = np.zeros((68, 2))
    face_J2[:17] = np.stack([np.linspace(0, 1, 17), 0.3 + 0.7 * np.sin(np.linspace(0, np.pi, 17))], 1)
    face_J2[17:27] = np.stack([np.linspace(0.1, 0.9, 10), np.full(10, 0.1)], 1)
    face_J2[36:48] = np.stack([np.linspace(0.2, 0.8, 12), np.full(12, 0.3)], 1)
    face_J2[27:36, 0] = face_J2[48:, 0] = 0.5
    face_J2[27:36, 1], face_J2[48:, 1] = np.linspace(0.35, 0.6, 9), np.linspace(0.65, 0.8, 20)
    faces_NJ2 = face_J2 + np.random.default_rng(0).normal(0, 0.005, (20, 68, 2))

    def warned(k_NJ2):
        return check(PoseSet(crop(k_NJ2)[0], "face_68"))[1]

    assert warned(faces_NJ2) == ()
    assert "upside down" in warned(faces_NJ2 * [1, -1])[0] and "exchanged" in warned(faces_NJ2 * [-1, 1])[0]


def test_other_skeletons_are_looked_at_for_joints_in_one_point_alone():
    hands = PoseSet(np.random.default_rng(0).random((20, 21, 2)), get_skeleton("hand_21").text)
    assert check(hands) == ({"two joints in one point": 0.0}, ())


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_no_real_set_gives_a_false_alarm_and_each_damaged_one_gives_one(real_data, name):
    poses, report = read_source(REAL[name].format(real_data))
    assert report.warnings == ()
    kinds = ("elbow", "wrist", "knee", "ankle", "shoulder")
    damaged = [exchanged(poses, (f"left_{part}", f"right_{part}")) for part in kinds]
    damaged += [changed(poses, poses.keypoints_NJ2 * [1, -1])]
    assert all(check(other)[1] for other in damaged)
    if "cameras" in REAL[name]:  # seen from all around, sides show in space alone
        swapped = read_source(REAL[name].format(real_data), swap_sides="yes")[1].warnings
        assert len(swapped) == 1 and "knees bend forward in 0%): swap_sides=no" in swapped[0]
    else:
        swapped = check(changed(poses, poses.keypoints_NJ2[:, list(BODY_15.flip)]))[1]
        assert len(swapped) == 1 and "left and right look exchanged" in swapped[0]
