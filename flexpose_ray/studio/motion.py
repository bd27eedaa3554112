"""What the studio's people do: six upright actions by forward kinematics.

Angles are in degrees. A limb segment points down at (0, 0); ``forward`` swings it ahead, ``out`` away from the body's
middle. Arms are turned with the trunk, legs with the pelvis. World axes: x to the person's left, y up, z ahead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from flexpose_ray.pose.skeleton import BODY_15

Own = Callable[[float, float], float]  # mean, spread -> the value of one performance
Angles = dict[str, np.ndarray | float]  # "left_thigh": forward, "left_thigh_out": out, "lean", "sway", "twist", "nod"
SIDES = {"left": 1.0, "right": -1.0}
CYCLES = (0.8, 1.6)  # of an action in one clip


def perform(action: str, body: dict[str, float], frames: int, rng: np.random.Generator) -> np.ndarray:
    """One performance of an action.

    Args:
        action: one of ``ACTIONS``.
        body: segment -> length, see :data:`~flexpose_ray.studio.people.SEGMENTS`.
        frames: of the clip.
        rng: of the heading, the phase and the performer's manner.

    Returns:
        world_FJ3: joints of body_15 in the unit of ``body``, y up; the pelvis is at the origin.
    """

    def own(mean: float, spread: float) -> float:
        return mean + spread * float(np.clip(rng.normal(), -2, 2))

    heading = np.radians(rng.uniform(0, 360))
    phase_F = rng.random() + np.linspace(0, rng.uniform(*CYCLES), frames, endpoint=False)
    angles = _standing(own) | ACTIONS[action](2 * np.pi * phase_F, own, "left" if rng.random() < 0.5 else "right")
    world_FJ3 = _joints({name: np.broadcast_to(value, frames) for name, value in angles.items()}, body)
    cos, sin = np.cos(heading), np.sin(heading)
    return world_FJ3 @ np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])


def _standing(own: Own) -> Angles:
    """At rest; actions change what they move."""
    angles: Angles = {"lean": own(3, 3), "sway": own(0, 3), "twist": own(0, 8), "nod": own(12, 8)}
    for side in SIDES:
        arm, elbow = own(2, 7), abs(own(14, 8))
        angles |= {f"{side}_upper_arm": arm, f"{side}_upper_arm_out": own(11, 4)}
        angles |= {f"{side}_forearm": arm + elbow, f"{side}_forearm_out": own(6, 5)}
        angles |= {f"{side}_thigh": own(3, 4), f"{side}_thigh_out": own(6, 3)}
        angles |= {f"{side}_shank": own(-3, 3), f"{side}_shank_out": own(4, 2)}
    return angles


def _walking(turn_F: np.ndarray, own: Own, side: str) -> Angles:
    stride, knee, arm, elbow = own(26, 5), own(45, 8), own(24, 8), own(22, 8)
    angles: Angles = {"twist": own(8, 3) * np.sin(turn_F), "lean": own(5, 3)}
    for name, sign in SIDES.items():
        swing_F = sign * np.sin(turn_F)
        bend_F = 8 + knee * np.clip(sign * np.cos(turn_F), 0, None)  # while the leg is on its way ahead
        angles |= {f"{name}_thigh": stride * swing_F + 4, f"{name}_shank": stride * swing_F + 4 - bend_F}
        angles |= {f"{name}_upper_arm": -arm * swing_F, f"{name}_forearm": -arm * swing_F + elbow}
    return angles


def _waving(turn_F: np.ndarray, own: Own, side: str) -> Angles:
    high = own(78, 14)
    return {
        f"{side}_upper_arm": own(15, 12), f"{side}_upper_arm_out": high,
        f"{side}_forearm": own(8, 10), f"{side}_forearm_out": high + own(75, 12) + own(28, 7) * np.sin(2 * turn_F),
        "sway": own(0, 4) * np.sin(turn_F),
    }  # fmt: skip


def _pointing(turn_F: np.ndarray, own: Own, side: str) -> Angles:
    reach_F, out = _ramp(turn_F), own(22, 16)
    high, bend = own(78, 12), own(8, 6)
    return {
        f"{side}_upper_arm": high * reach_F, f"{side}_upper_arm_out": 8 + out * reach_F,
        f"{side}_forearm": (high + bend) * reach_F + 25 * (1 - reach_F), f"{side}_forearm_out": out * reach_F,
        "twist": -SIDES[side] * own(14, 7) * reach_F, "lean": own(4, 3) + own(6, 3) * reach_F,
    }  # fmt: skip


def _reaching_up(turn_F: np.ndarray, own: Own, side: str) -> Angles:
    up_F, high = _ramp(turn_F), own(158, 10)
    angles: Angles = {"lean": own(0, 3) - own(4, 2) * up_F, "nod": own(10, 6) - own(22, 8) * up_F}
    for name in SIDES:
        late_F = np.clip(up_F + own(0, 0.06), 0, 1)
        angles |= {f"{name}_upper_arm": high * late_F, f"{name}_forearm": high * late_F + 35 * np.sin(np.pi * late_F)}
        angles |= {f"{name}_upper_arm_out": own(12, 5), f"{name}_forearm_out": own(6, 5)}
    return angles


def _squatting(turn_F: np.ndarray, own: Own, side: str) -> Angles:
    down_F = _ramp(turn_F)
    thigh, shank, reach = own(92, 12), own(34, 7), own(78, 14)
    angles: Angles = {"lean": own(4, 2) + own(34, 7) * down_F, "nod": own(8, 5)}
    for name in SIDES:
        angles |= {f"{name}_thigh": 3 + thigh * down_F, f"{name}_thigh_out": own(8, 3) + own(10, 5) * down_F}
        angles |= {f"{name}_shank": -3 - shank * down_F, f"{name}_upper_arm": (reach + 30) * down_F}
        angles |= {f"{name}_forearm": (reach + 36) * down_F + 10, f"{name}_forearm_out": own(4, 4)}
    return angles


def _bowing(turn_F: np.ndarray, own: Own, side: str) -> Angles:
    down_F = _ramp(turn_F)
    lean_F, hang = own(4, 2) + own(66, 10) * down_F, own(0.9, 0.15)
    angles: Angles = {"lean": lean_F, "nod": own(10, 6) + own(14, 8) * down_F}
    for name in SIDES:
        angles |= {f"{name}_thigh": -4 - own(8, 3) * down_F, f"{name}_shank": -4 - own(8, 3) * down_F}
        angles |= {f"{name}_upper_arm": hang * lean_F, f"{name}_forearm": hang * lean_F + own(12, 6)}
    return angles


ACTIONS = {
    "walking": _walking, "waving": _waving, "pointing": _pointing,
    "reaching_up": _reaching_up, "squatting": _squatting, "bowing": _bowing,
}  # fmt: skip


def _ramp(turn_F: np.ndarray) -> np.ndarray:
    """From 0 to 1 and back, once a turn."""
    return 0.5 - 0.5 * np.cos(turn_F)


def _joints(angles: Angles, body: dict[str, float]) -> np.ndarray:
    """Joints (F, 15, 3) from the angles of every segment."""
    lean_F, sway_F, twist_F = (np.radians(angles[name]) for name in ("lean", "sway", "twist"))
    up_F3 = np.stack([np.sin(sway_F), np.cos(sway_F) * np.cos(lean_F), np.cos(sway_F) * np.sin(lean_F)], 1)
    left_F3 = np.stack([np.cos(twist_F), np.zeros_like(twist_F), -np.sin(twist_F)], 1)
    left_F3 -= up_F3 * (left_F3 * up_F3).sum(1, keepdims=True)
    left_F3 /= np.linalg.norm(left_F3, axis=1, keepdims=True)
    trunk = left_F3, up_F3, np.cross(left_F3, up_F3)
    pelvis = tuple(np.broadcast_to(axis, up_F3.shape) for axis in np.eye(3))

    at = {"pelvis": np.zeros_like(up_F3), "neck": body["trunk"] * up_F3}
    at["head"] = at["neck"] + body["face"] * _direction(trunk, 180 - angles["nod"], 0.0)
    chains = {"arm": ("shoulder", "upper_arm", "elbow", "forearm", "wrist", trunk, at["neck"])}
    chains["leg"] = ("hip", "thigh", "knee", "shank", "ankle", pelvis, at["pelvis"])
    for side, sign in SIDES.items():
        for root, first, middle, second, end, frame, centre_F3 in chains.values():
            at[f"{side}_{root}"] = centre_F3 + sign * body[root] * frame[0]
            for start, part, stop in ((root, first, middle), (middle, second, end)):
                name = f"{side}_{part}"
                way_F3 = _direction(frame, angles[name], sign * np.asarray(angles[f"{name}_out"]))
                at[f"{side}_{stop}"] = at[f"{side}_{start}"] + body[part] * way_F3
    return np.stack([at[joint] for joint in BODY_15.joints], 1)


def _direction(frame: tuple[np.ndarray, ...], forward_F: np.ndarray, out_F: np.ndarray | float) -> np.ndarray:
    """Unit vectors (F, 3) of a segment in a frame of (left, up, ahead)."""
    left_F3, up_F3, ahead_F3 = frame
    f_F1, o_F1 = np.radians(forward_F)[..., None], np.radians(out_F)[..., None]
    return np.sin(o_F1) * left_F3 - np.cos(o_F1) * np.cos(f_F1) * up_F3 + np.cos(o_F1) * np.sin(f_F1) * ahead_F3
