"""Captured motion: dealt out to the parts of a studio without a common frame, shown turned and otherwise as it is."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.geometry import body_length
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.captured import STRETCHES, Motion, act, stretches_of
from flexpose_ray.studio.motion import perform
from flexpose_ray.studio.people import SEGMENTS
from flexpose_ray.studio.world import PARTS, Studio, film, shots, studio_poses


def motion(name: str, frames: int, action: str = "walking", seed: int = 0) -> Motion:
    """A motion whose every frame is another."""
    world_FJ3 = perform(action, SEGMENTS, frames, np.random.default_rng(seed))
    return Motion(name, action, world_FJ3 + np.arange(frames)[:, None, None] * [0.0, 0.0, 0.02])


def dealt(motions: tuple[Motion, ...], action: str = "walking") -> list[list[Motion]]:
    return [stretches_of(motions, action, i, 3, 16, np.random.default_rng(0)) for i in range(3)]


def frames_of(stretches: list[Motion]) -> set[bytes]:
    return {frame.tobytes() for stretch in stretches for frame in stretch.world_FJ3}


@pytest.mark.parametrize("lengths", [(400,), (40, 30), (20,) * 20, (2, 2), (3,)])
def test_parts_share_no_frame_and_lose_none(lengths: tuple[int, ...]):
    motions = tuple(motion(f"clip-{i}", n, seed=i) for i, n in enumerate(lengths))
    parts = [frames_of(stretches) for stretches in dealt(motions)]
    assert all(parts) and sum(map(len, parts)) == len(set.union(*parts)) == sum(lengths)


def test_motions_are_cut_where_there_are_few_and_no_shorter_than_a_clip_where_that_can_be():
    one = [stretch for part in dealt((motion("long", 400),)) for stretch in part]
    assert len(one) == STRETCHES and min(len(s.world_FJ3) for s in one) >= 16
    assert len({s.name for s in one}) == STRETCHES
    many = [stretch for part in dealt(tuple(motion(f"clip-{i}", 40, seed=i) for i in range(12))) for stretch in part]
    assert sorted(s.name for s in many) == sorted(f"clip-{i}" for i in range(12))
    assert [len(part) for part in dealt((motion("short", 34),))] == [1, 1, 1]


def test_too_few_frames_for_all_parts_are_told():
    with pytest.raises(DataError, match=r"^tiny: 2 frames of walking, at least 3 needed"):
        dealt((motion("tiny", 2),))


def test_a_motion_is_shown_turned_about_the_vertical_and_to_and_fro():
    whole = motion("clip", 30)
    shown_FJ3 = act(whole, 12, np.random.default_rng(3))
    heights_FJ, wanted_FJ = shown_FJ3[..., 1], whole.world_FJ3[..., 1]
    start = int(np.abs(wanted_FJ - heights_FJ[0]).sum(1).argmin())
    np.testing.assert_allclose(heights_FJ, wanted_FJ[start : start + 12])
    assert body_length(shown_FJ3) == pytest.approx(body_length(whole.world_FJ3[start : start + 12]))
    assert not np.allclose(shown_FJ3, whole.world_FJ3[start : start + 12])
    short = Motion("short", "walking", whole.world_FJ3[:3])
    heights_F = act(short, 7, np.random.default_rng(0))[:, 0, 1]
    np.testing.assert_allclose(heights_F, short.world_FJ3[[0, 1, 2, 1, 0, 1, 2], 0, 1])
    assert act(Motion("still", "walking", whole.world_FJ3[:1]), 5, np.random.default_rng(0)).shape == (5, 15, 3)


@pytest.mark.parametrize("part", PARTS)
def test_people_perform_it_and_pictures_show_its_poses(part: str):
    captured = (motion("a", 200), motion("b", 200, "bowing", 1))
    studio = Studio(part, count=40, size=32, actions=("walking", "bowing"), captured=captured)
    clips, poses = shots(studio), studio_poses(studio)
    assert [clip.action for clip in clips] == ["walking", "bowing", "walking"]
    assert poses.label_N.tolist() == [clip.action for clip in clips for _ in clip.world_FJ3]
    own = {"poses": [clip.take for clip in clips]}.get(part, [clip.name for clip in clips])
    assert poses.group_N.tolist() == [group for group, clip in zip(own, clips, strict=True) for _ in clip.world_FJ3]
    shown_NJ2 = np.concatenate([film(studio, clip).keypoints_NJ2 for clip in clips])
    np.testing.assert_allclose(shown_NJ2, poses.keypoints_NJ2, atol=1e-5)
    heights = {frame[:, 1].tobytes() for m in captured for frame in m.world_FJ3}
    assert all(frame[:, 1].tobytes() in heights for clip in clips for frame in clip.world_FJ3)


def test_what_is_held_out_of_captured_poses_is_not_seen_elsewhere():
    studio = Studio(count=800, actions=("walking",), captured=(motion("a", 300),))
    kept, held = studio_poses(studio).split(0.5)
    assert len(kept) and len(held) and not set(kept.group_N) & set(held.group_N)


def test_actions_are_those_of_the_motion():
    with pytest.raises(ConfigError, match=r"unknown action 'waving'.*choose some of walking"):
        Studio(actions=("waving",), captured=(motion("a", 30),))


def test_the_studios_own_people_stay_what_they_were():
    wrist_2 = studio_poses(Studio(count=1)).keypoints_NJ2[0, BODY_15.joints.index("left_wrist")]
    np.testing.assert_allclose(wrist_2, [0.6342, 0.4468], atol=1e-4)  # detectors of this world are kept by its name
