"""Captured motion that the studio's people perform instead of its own actions.

The three parts of a studio share no frame of it: motions are cut into stretches where there are few, and stretches are
dealt out to the parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from flexpose_ray.errors import DataError

STRETCHES = 12  # of every action, where its motions are long enough


@dataclass(frozen=True, eq=False)
class Motion:
    """One motion, or a stretch of it.

    Attributes:
        name: of its file or clip.
        action: becomes the label of its poses.
        world_FJ3: joints of body_15 in every frame, y up, any length unit.
    """

    name: str
    action: str
    world_FJ3: np.ndarray


def stretches_of(
    motions: tuple[Motion, ...], action: str, part: int, parts: int, frames: int, rng: np.random.Generator
) -> list[Motion]:
    """The stretches of an action that a part of a studio shows.

    Args:
        motions: of all actions.
        action: of these.
        part: its number.
        parts: how many there are.
        frames: of a clip; stretches are not shorter, if each part has one.
        rng: deals them out; the same for all parts.

    Raises:
        DataError: fewer frames than parts.
    """
    whole = [motion for motion in motions if motion.action == action]
    cuts = -(-STRETCHES // len(whole))
    found = [piece for m in whole for piece in _cut(m, min(cuts, len(m.world_FJ3) // frames))]
    if len(found) < parts:
        found = [piece for m in whole for piece in _cut(m, min(parts, len(m.world_FJ3)))]
    if len(found) < parts:
        total = sum(len(m.world_FJ3) for m in whole)
        problem = f"{total} frames of {action}, at least {parts} needed: each part of the studio shows others"
        raise DataError(whole[0].name, problem, "give longer motions, or choose others with actions=")
    return [found[i] for i in rng.permutation(len(found))[part::parts]]


def _cut(motion: Motion, count: int) -> list[Motion]:
    """A motion in so many stretches of about the same length; whole where that is one, or none."""
    if count < 2:
        return [motion]
    pieces = np.array_split(motion.world_FJ3, count)
    return [Motion(f"{motion.name}-{i}", motion.action, piece) for i, piece in enumerate(pieces)]


def act(motion: Motion, frames: int, rng: np.random.Generator) -> np.ndarray:
    """Some frames of a motion in succession, turned to some heading; to and fro where it is too short.

    Returns:
        world_FJ3: y up.
    """
    last = len(motion.world_FJ3) - 1
    steps_F = int(rng.integers(max(1, last + 2 - frames))) + np.arange(frames)
    turn_F = steps_F % max(1, 2 * last)
    angle = np.radians(rng.uniform(0, 360))
    cos, sin = np.cos(angle), np.sin(angle)
    return motion.world_FJ3[np.minimum(turn_F, 2 * last - turn_F)] @ np.array(
        [[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]]
    )
