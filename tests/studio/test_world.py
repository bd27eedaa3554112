import numpy as np
import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.judging.metrics import frechet_distance
from flexpose_ray.sources.read import read_source
from flexpose_ray.studio.motion import ACTIONS
from flexpose_ray.studio.world import PARTS, Studio, film, shots, studio_poses


@pytest.mark.parametrize("part", PARTS)
def test_pictures_show_the_poses_of_their_part(part):
    studio = Studio(part, count=40, size=32)
    clips, poses = shots(studio), studio_poses(studio)
    assert [len(clip.world_FJ3) for clip in clips] == [16, 16, 8]
    assert poses.group_N.tolist() == [clip.name for clip in clips for _ in clip.world_FJ3]
    assert set(poses.label_N) <= set(ACTIONS)
    shown_NJ2 = np.concatenate([film(studio, clip).keypoints_NJ2 for clip in clips])
    np.testing.assert_allclose(shown_NJ2, poses.keypoints_NJ2, atol=1e-5)


def test_parts_share_no_clip_and_the_test_no_person():
    clips = {part: shots(Studio(part, count=800)) for part in PARTS}
    people = {part: {clip.person for clip in clips[part]} for part in PARTS}
    assert people["pictures"] == people["poses"] == set(range(8)) and people["test"] == {8, 9}
    moves = [clip.world_FJ3[0].tobytes() for part in PARTS for clip in clips[part]]
    assert len(set(moves)) == len(moves)
    assert {clip.yaw for clip in clips["pictures"]} == {45, 135, 225, 315}


def test_poses_are_distributed_as_those_of_the_pictures():
    pictures, poses, test = (studio_poses(Studio(part, count=3200)).keypoints_NJ2 for part in PARTS)
    apart = frechet_distance(pictures, studio_poses(Studio("poses", 3200, actions=("walking",))).keypoints_NJ2)
    assert frechet_distance(pictures, poses) < apart / 4 and frechet_distance(test, poses) < apart / 2


def test_people_and_clips_stay_as_they_are_where_more_are_asked_for():
    few, many = (studio_poses(Studio("poses", count)) for count in (32, 64))
    np.testing.assert_array_equal(few.keypoints_NJ2, many.keypoints_NJ2[:32])
    other = studio_poses(Studio("poses", 32, seed=1))
    assert not np.allclose(few.keypoints_NJ2, other.keypoints_NJ2)


def test_clips_of_one_frame_begin_as_longer_ones():
    """So that a few pictures can be of many clips."""
    first = studio_poses(Studio("pictures", 12, frames=1)).keypoints_NJ2
    clips = studio_poses(Studio("pictures", 12 * 16))
    np.testing.assert_allclose(first, clips.keypoints_NJ2[::16], atol=1e-6)
    assert [len(clip.world_FJ3) for clip in shots(Studio(count=70, frames=32))] == [32, 32, 6]


def test_a_source_names_a_studio():
    poses, _ = read_source("synthetic:studio?part=test&count=20&seed=4&actions=bowing,waving&cameras=1")
    assert len(poses) == 20 and set(poses.label_N) == {"bowing", "waving"}
    wanted = studio_poses(Studio("test", 20, 4, ("bowing", "waving"), cameras=1))
    np.testing.assert_array_equal(poses.keypoints_NJ2, wanted.keypoints_NJ2)
    assert len(read_source("synthetic:studio")[0]) == 2000


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("part=all", "part is 'all'.*pictures, poses, test"),
        ("actions=flying", "unknown action 'flying'.*walking, waving"),
        ("actions=", "unknown action ''"),
        ("count=0", "count is 0"),
        ("count=many", "count is 'many', expected a whole number"),
        ("frames=0", "frames is 0.*between 1 and 1000"),
        ("cameras=5", "cameras is 5.*between 1 and 4"),
        ("size=4000", "size is 4000"),
        ("backdrop=perhaps", "backdrop is 'perhaps'.*yes or no"),
        ("light=on", "no option 'light'.*synthetic:studio"),
    ],
)
def test_what_no_studio_has_is_refused(options, named):
    with pytest.raises(ConfigError, match=named) as error:
        read_source(f"synthetic:studio?{options}")
    assert error.value.where == f"source 'synthetic:studio?{options}'"
