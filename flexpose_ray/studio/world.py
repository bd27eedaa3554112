"""The studio as a world with three parts that share no clip: unlabelled pictures, poses, and pictures to test on.

Pictures and poses are of the same people; those of the test are never seen elsewhere. So the poses are what a domain's
true prior would be, and what a detector learns from them is learned without a pair of picture and pose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.geometry import body_length, crop, project
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.studio.captured import Motion, act, stretches_of
from flexpose_ray.studio.motion import ACTIONS, perform
from flexpose_ray.studio.people import draw_backdrop, draw_person
from flexpose_ray.studio.render import DISTANCE, PITCH, YAWS, Pictures, render

PARTS = ("pictures", "poses", "test")
CLIP_FRAMES = 16
TEST_PEOPLE = 2
MOST_PX, MOST_FRAMES = 512, 1000


@dataclass(frozen=True)
class Studio:
    """Which part of which world.

    Attributes:
        part: "pictures" (to learn from), "poses" (of other clips of the same people) or "test" (other people).
        count: pictures or poses.
        seed: of the world: its people, backdrops and clips.
        actions: of these, see :data:`~flexpose_ray.studio.motion.ACTIONS`; of captured motion the labels of these.
        people: in pictures and poses; the test has two of its own.
        cameras: the first of the four fixed ones, 1 to 4.
        size: side of the pictures, pixels.
        frames: of a clip.
        backdrop: whether there is one; without it pictures are black around people.
        captured: motions that people perform instead of the studio's own actions, in the bodies of these motions.

    Raises:
        ConfigError: a value out of range.
    """

    part: str = "poses"
    count: int = 2000
    seed: int = 0
    actions: tuple[str, ...] = tuple(ACTIONS)
    people: int = 8
    cameras: int = 4
    size: int = 64
    frames: int = CLIP_FRAMES
    backdrop: bool = True
    captured: tuple[Motion, ...] = ()

    def __post_init__(self):
        where = "studio"
        known = tuple(dict.fromkeys(motion.action for motion in self.captured)) or tuple(ACTIONS)
        if self.part not in PARTS:
            raise ConfigError(where, f"part is {self.part!r}", f"choose one of {', '.join(PARTS)}")
        unknown = [action for action in self.actions if action not in known]
        if unknown or not self.actions:
            problem = f"unknown action {unknown[0]!r}" if unknown else "no action"
            raise ConfigError(where, problem, f"choose some of {', '.join(known)}")
        ranges = {
            "count": (1, 10**7), "seed": (0, 2**32), "people": (1, 1000), "cameras": (1, 4), "size": (8, MOST_PX),
            "frames": (1, MOST_FRAMES),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(where, f"{name} is {getattr(self, name)}", f"choose one between {low} and {high}")


@dataclass(frozen=True, eq=False)
class Shot:
    """One clip: who does what before which camera; ``take`` names the captured motion that is shown, "" of none."""

    name: str
    action: str
    person: int
    yaw: float
    world_FJ3: np.ndarray
    take: str = ""

    def poses(self) -> tuple[np.ndarray, np.ndarray]:
        """keypoints_FJ2 in crop units and crop_F3, as the camera sees them."""
        angles, distance = np.radians([self.yaw, PITCH]), DISTANCE * body_length(self.world_FJ3)
        return crop(project(self.world_FJ3, *angles, distance))


def shots(studio: Studio) -> list[Shot]:
    """The clips of a part, together ``count`` frames."""
    rng_of = _seeds(studio)
    first = studio.people if studio.part == "test" else 0
    people = range(first, first + (TEST_PEOPLE if studio.part == "test" else studio.people))
    bodies = {p: draw_person(rng_of("person", p)).body for p in people}
    clips, takes = [], _takes(studio)
    for i, start in enumerate(range(0, studio.count, studio.frames)):
        rng = rng_of(studio.part, i)
        action = studio.actions[i % len(studio.actions)]  # in turn, so that all are as frequent
        person, yaw = int(rng.choice(people)), YAWS[rng.integers(studio.cameras)]
        frames = min(studio.frames, studio.count - start)
        take = takes[action][rng.integers(len(takes[action]))] if takes else None
        world_FJ3 = act(take, frames, rng) if take else perform(action, bodies[person], frames, rng)
        clips.append(Shot(f"{studio.part}-{i:05d}", action, person, yaw, world_FJ3, take.name if take else ""))
    return clips


def _takes(studio: Studio) -> dict[str, list[Motion]]:
    """The stretches of captured motion that the part shows, by action; none where people perform by themselves.

    They are cut for clips of the usual length, whatever ``frames`` says: parts of different clips share no stretch.
    """
    at, rng_of = PARTS.index(studio.part), _seeds(studio)
    known = list(dict.fromkeys(motion.action for motion in studio.captured))
    return {
        action: stretches_of(
            studio.captured, action, at, len(PARTS), CLIP_FRAMES, rng_of("captured", known.index(action))
        )
        for action in (studio.actions if studio.captured else ())
    }


def studio_poses(studio: Studio) -> PoseSet:
    """The poses of a part, with clips as groups and actions as labels. Captured motion may be shown by several clips;
    in the part without pictures these are one group, so that what is held out of it is not seen elsewhere."""
    clips = shots(studio)
    keypoints, crops = zip(*(shot.poses() for shot in clips), strict=True)
    lengths = [len(k) for k in keypoints]
    groups = [clip.take if clip.take and studio.part == "poses" else clip.name for clip in clips]
    names, actions = (np.repeat(values, lengths) for values in (groups, [clip.action for clip in clips]))
    return PoseSet(np.concatenate(keypoints), "body_15", np.concatenate(crops), names, actions)


def film(studio: Studio, shot: Shot) -> Pictures:
    """The pictures of one clip."""
    rng_of = _seeds(studio)
    backdrop = draw_backdrop(rng_of("camera", YAWS.index(shot.yaw))) if studio.backdrop else None
    return render(shot.world_FJ3, draw_person(rng_of("person", shot.person)), shot.yaw, backdrop, studio.size)


def _seeds(studio: Studio):
    """Random numbers for each thing of a world: another part or count leaves people and clips as they are."""
    kinds = ("person", "camera", *PARTS, "captured")
    return lambda kind, index: np.random.default_rng((studio.seed, kinds.index(kind), index))
