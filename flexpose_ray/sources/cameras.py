"""Cameras around people in motion: which of them see a frame, and where its joints are on their pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.geometry import body_length, project
from flexpose_ray.sources.options import parse_whole

FIXED_YAWS, FIXED_PITCH = (45, 135, 225, 315), 10  # degrees
RANDOM_PITCHES = (0, 30)  # degrees
DISTANCE = 2.5  # from the body's middle, in body lengths
OPTIONS = {
    "fixed": {"every": "1", "label": ""},
    "random": {"every": "1", "label": "", "views": "1", "seed": "0"},
}
USE = "?cameras=fixed or ?cameras=random&seed=0, with &every=N, &label=NAME, &up=z, for random cameras &views=N"
CAMERA_OPTIONS = ("cameras", "every", "label", "views", "seed", "up")
# For the axis that points up: which axes become x, y and z, and their signs; all are turns, none is a mirror.
TURNS = {
    "x": ([1, 0, 2], [-1, 1, 1]), "y": ([0, 1, 2], [1, 1, 1]), "z": ([0, 2, 1], [1, 1, -1]),
    "-x": ([1, 0, 2], [1, -1, 1]), "-y": ([0, 1, 2], [1, -1, -1]), "-z": ([0, 2, 1], [1, -1, 1]),
}  # fmt: skip


@dataclass(frozen=True)
class Cameras:
    """Which cameras see the frames of a motion.

    Cameras point at the middle of the body's joints, from ``DISTANCE`` times the length of the body.

    Attributes:
        fixed: whether the same four cameras see every frame, at yaw 45, 135, 225, 315 degrees of the world, 10 degrees
            above. Otherwise ``views`` new ones see each frame, from all around it and 0 to 30 degrees above.
        every: one frame in this many is seen.
        views: cameras for each frame.
        seed: of the random cameras.
        label: of all poses; with "" each motion keeps its own.
        up: the motion's axis that points up; "": as its file says.
    """

    fixed: bool
    every: int
    views: int
    seed: int = 0
    label: str = ""
    up: str = ""

    def see(self, body_FJ3: np.ndarray, rng: np.random.Generator, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Project one motion onto the pictures of all cameras.

        Args:
            body_FJ3: joints of BODY_15 in any length unit, y up.
            rng: of the random cameras.
            where: the motion's name, for errors.

        Returns:
            pixels_NJ2: one row for each seen frame and view; the views of a frame follow one another.
            frame_N: the index in ``body_FJ3`` of each row.

        Raises:
            DataError: all joints in one point, or a joint as far from the others as the cameras are.
        """
        distance = distance_to(body_FJ3, where)
        frame_N = np.repeat(np.arange(0, len(body_FJ3), self.every), self.views)
        if self.fixed:
            yaw_N, pitch_N = np.resize(FIXED_YAWS, len(frame_N)), FIXED_PITCH
        else:
            yaw_N, pitch_N = rng.uniform(0, 360, len(frame_N)), rng.uniform(*RANDOM_PITCHES, len(frame_N))
        return project(body_FJ3[frame_N], np.radians(yaw_N), np.radians(pitch_N), distance), frame_N


def distance_to(body_FJ3: np.ndarray, where: str) -> float:
    """From cameras to the middle of a motion's body, in its unit.

    Raises:
        DataError: as :meth:`Cameras.see`.
    """
    distance = DISTANCE * body_length(body_FJ3)
    far_F = np.linalg.norm(body_FJ3 - body_FJ3.mean(1, keepdims=True), axis=2).max(1) >= distance
    if far_F.any():
        problem = "all joints are in one point" if not distance else "a joint is far away from the others"
        raise DataError(f"{where} frame {far_F.argmax() + 1}", problem, "correct or delete this frame")
    return distance


def parse_cameras(given: dict[str, str], source: str) -> Cameras:
    """The cameras that the options behind a source's ``?`` name.

    Args:
        given: the options, by name, without others than ``CAMERA_OPTIONS``.
        source: for errors.

    Raises:
        ConfigError: no cameras, or an option that is not for these cameras or out of range.
    """
    where = f"source {source!r}"
    given = dict(given)
    kind = given.pop("cameras", None)
    if kind is None:
        raise ConfigError(where, "no cameras to see the motion", f"add {USE}")
    if kind not in OPTIONS:
        raise ConfigError(where, f"unknown cameras {kind!r}", f"write {USE}")
    if up := given.pop("up", ""):
        check_axis(up, where)
    for name, value in given.items():
        if name not in OPTIONS[kind]:
            raise ConfigError(where, f"{name} is no option of {kind} cameras", f"write {USE}")
        if name != "label":
            parse_whole(name, value, where, f"write {USE}", least=0 if name == "seed" else 1)
    options = OPTIONS[kind] | given
    views, seed = options.get("views", len(FIXED_YAWS)), options.get("seed", 0)
    return Cameras(kind == "fixed", int(options["every"]), int(views), int(seed), options["label"], up)


def check_axis(up: str, where: str) -> None:
    """Let only the axes pass that may point up.

    Raises:
        ConfigError: another one.
    """
    if up not in TURNS:
        raise ConfigError(where, f"up is {up!r}, expected an axis", f"write up={', up='.join(TURNS)}")


def upright(world_FS3: np.ndarray, up: str) -> np.ndarray:
    """Turn positions so that the axis ``up`` (one of ``TURNS``) becomes y; sides stay as they are."""
    columns, signs = TURNS[up]
    return world_FS3 if up == "y" else world_FS3[..., columns] * signs
