"""3D motion files as motions of the studio's people: any format in 3D, upright, with options of its own."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pictures.annotated import read_annotated
from flexpose_ray.pictures.read import read_pictures
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.motions import read_motions
from flexpose_ray.sources.read import read_source
from flexpose_ray.studio.motion import perform
from flexpose_ray.studio.people import SEGMENTS

HEAD, LEFT = BODY_15.joints.index("head"), BODY_15.joints.index("left_wrist")


def walk(frames: int, seed: int = 0) -> np.ndarray:
    return perform("walking", SEGMENTS, frames, np.random.default_rng(seed))


@pytest.fixture
def npz(tmp_path):
    """A walk of 60 frames and a bow of 40, in a file of z up."""
    bow_FJ3 = perform("bowing", SEGMENTS, 40, np.random.default_rng(1))
    clips = {"walk/a": walk(60), "bow/b": bow_FJ3}
    clips = {name: world[..., [0, 2, 1]] * [1, -1, 1] for name, world in clips.items()}  # y up -> z up
    path = tmp_path / "clips.npz"
    np.savez(path, **clips, joints=np.array(BODY_15.joints))
    return path


def bvh(path, joints=BODY_15.joints, frames=20):
    """Every joint a child of the first, each with its own place."""
    text = "HIERARCHY\nROOT origin\n{\nOFFSET 0 0 0\nCHANNELS 0\n"
    for joint in joints:
        text += f"JOINT {joint}\n{{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n}}\n"
    rows = [" ".join(f"{v:.6f}" for v in frame.ravel()) for frame in walk(frames)]
    path.write_text(text + f"}}\nMOTION\nFrames: {frames}\nFrame Time: 0.1\n" + "\n".join(rows) + "\n")
    return path


def test_motions_are_upright_joints_of_the_body(npz):
    bow, first = read_motions(f"motion:{npz}?up=z")
    assert (first.name, first.action, bow.action) == ("walk/a", "walk", "bow")
    np.testing.assert_allclose(first.world_FJ3, walk(60), atol=1e-12)


def test_options_thin_label_and_exchange_sides(npz, monkeypatch):
    monkeypatch.setenv("MOTION_FOLDER", str(npz.parent))
    found = read_motions("motion:${MOTION_FOLDER}/clips.npz?up=z;every=3;label=moving;swap_sides=yes")
    assert [(m.action, len(m.world_FJ3)) for m in found] == [("moving", 14), ("moving", 20)]
    right = BODY_15.joints.index("right_wrist")
    np.testing.assert_allclose(found[1].world_FJ3[:, LEFT], walk(60)[::3, right])


def test_a_folder_of_bvh_files_is_read_with_a_mapping(tmp_path):
    folder = tmp_path / "motion"
    folder.mkdir()
    bvh(folder / "a.bvh", [f"j_{joint}" for joint in BODY_15.joints])
    mapping = tmp_path / "map.yaml"
    mapping.write_text("".join(f"{joint}: j_{joint}\n" for joint in BODY_15.joints))
    (found,) = read_motions(f"bvh:{folder}?mapping={mapping}")
    assert (found.name, found.action) == ("a", "motion")
    np.testing.assert_allclose(found.world_FJ3, walk(20), atol=1e-5)
    with pytest.raises(DataError, match="joints that are not known: origin, j_head"):
        read_motions(f"bvh:{folder}")


def test_a_studio_shows_a_motion_file_in_poses_and_pictures(npz):
    world = f"motion=motion:{npz}?up=z&seed=2&people=3"
    poses, _ = read_source(f"synthetic:studio?count=40&{world}")
    assert len(poses) == 40 and set(poses.label_N) == {"walk", "bow"}
    assert all(group.startswith(("walk/a", "bow/b")) for group in poses.group_N)
    some, _ = read_source(f"synthetic:studio?count=20&actions=bow&{world}")
    assert set(some.label_N) == {"bow"}
    annotated = read_annotated(f"synthetic:studio?part=test&count=20&backdrop=no&{world}", ".", 32)
    assert set(annotated.poses.label_N) == {"walk", "bow"}
    shown_NSS = annotated.pictures_N3SS[:].max(1) > 0
    at_NJ2 = (annotated.poses.keypoints_NJ2 * 32).astype(int)
    on_people = [shown[at_J2[:, 1], at_J2[:, 0]].mean() for shown, at_J2 in zip(shown_NSS, at_NJ2, strict=True)]
    assert min(on_people) > 0.8 and shown_NSS.mean() < 0.5
    assert len(read_pictures(f"synthetic:studio?count=20&{world}", 16)) == 20


@pytest.mark.parametrize(
    ("motion", "error", "named"),
    [
        ("coco:x.json", ConfigError, "'coco' is no kind of motion in 3D.*bvh, h36m3d, motion"),
        ("clips.npz", ConfigError, "'clips.npz' is no kind of motion"),
        ("motion:nowhere.npz", DataError, "no such file or folder"),
        ("motion:FILE?every=0", ConfigError, "every is '0', expected a whole number"),
        ("motion:FILE?up=w", ConfigError, "up is 'w', expected an axis"),
        ("motion:FILE?cameras=fixed", ConfigError, "unknown option 'cameras'"),
        ("motion:FILE?skeleton=coco_17", ConfigError, "the studio's people have the joints of body_15"),
    ],
)
def test_motion_that_cannot_be_used_is_told_in_one_line(motion: str, error, named: str, npz):
    with pytest.raises(error, match=named) as found:
        read_source(f"synthetic:studio?motion={motion.replace('FILE', str(npz))}")
    assert "\n" not in str(found.value)


def test_a_frame_that_no_camera_could_see_is_named(tmp_path):
    world_FJ3 = walk(5)
    np.savez(tmp_path / "clips.npz", **{"walk/a": world_FJ3 * 0, "joints": np.array(BODY_15.joints)})
    with pytest.raises(DataError, match=r"walk/a frame 1: all joints are in one point"):
        read_motions(f"motion:{tmp_path}/clips.npz")
    np.savez(tmp_path / "none.npz", **{"walk/a": world_FJ3[:0], "joints": np.array(BODY_15.joints)})
    with pytest.raises(DataError, match="no motion there"):
        read_motions(f"motion:{tmp_path}/none.npz")


def test_real_motion_capture_fills_a_studio(real_data):
    motion = f"motion=bvh:{real_data}/bandai_namco_motion/dataset-1?every=2"
    poses, _ = read_source(f"synthetic:studio?count=320&{motion}")
    labels, counts = np.unique(poses.label_N, return_counts=True)
    assert {"walk", "run", "bow"} <= set(labels) and counts.max() - counts.min() <= 16
    heads_above = poses.keypoints_NJ2[:, HEAD, 1] < poses.keypoints_NJ2.mean(1)[:, 1]
    assert heads_above.mean() > 0.9
