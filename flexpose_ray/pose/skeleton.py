"""The skeletons: joints, limbs, left-right pairs and limb colours, defined once for all code."""

from __future__ import annotations

import colorsys
import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from flexpose_ray.errors import ConfigError


@dataclass(frozen=True)
class Skeleton:
    """A fixed set of joints and the limbs between them.

    Attributes:
        name: how configs and files refer to it.
        joints: joint names, in storage order.
        limbs: pairs of joint indices.
        flip: for every joint the index of its mirror image.
        hues: hue of every limb in [0, 1); limbs of one hue share a colour.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    hues: tuple[float, ...]

    @property
    def n_joints(self) -> int:
        return len(self.joints)

    @cached_property
    def colors_L3(self) -> np.ndarray:
        """RGB colour of every limb, float32 in [0, 1], fully saturated."""
        return np.array([colorsys.hsv_to_rgb(h, 1.0, 1.0) for h in self.hues], np.float32)

    @cached_property
    def limbs_LK(self) -> np.ndarray:
        """Joint indices of both ends of every limb, int64."""
        return np.array(self.limbs, np.int64)


def _body_15() -> Skeleton:
    sides = ("left", "right")
    joints = ["head", "neck", "pelvis"]
    joints += [f"{s}_{j}" for s in sides for j in ("shoulder", "elbow", "wrist")]
    joints += [f"{s}_{j}" for s in sides for j in ("hip", "knee", "ankle")]
    at = {name: i for i, name in enumerate(joints)}
    chains = [("head", "neck"), ("neck", "pelvis")]
    for s in sides:
        chains += [("neck", f"{s}_shoulder"), (f"{s}_shoulder", f"{s}_elbow"), (f"{s}_elbow", f"{s}_wrist")]
    for s in sides:
        chains += [("pelvis", f"{s}_hip"), (f"{s}_hip", f"{s}_knee"), (f"{s}_knee", f"{s}_ankle")]
    limbs = tuple((at[a], at[b]) for a, b in chains)
    swap = {"left": "right", "right": "left"}
    mirror = [at["_".join([swap.get(p, p) for p in name.split("_")])] for name in joints]
    # Steps of 5/14 put neighbouring limbs, and a limb and its mirror image, far apart on the colour circle.
    hues = tuple((5 * i % len(limbs)) / len(limbs) for i in range(len(limbs)))
    return Skeleton("body_15", tuple(joints), limbs, tuple(mirror), hues)


def _face_68() -> Skeleton:
    """iBUG landmark order: contour, brows, nose, eyes, mouth."""
    parts = [
        (range(0, 17), False), (range(17, 22), False), (range(22, 27), False), (range(27, 31), False),
        (range(31, 36), False), (range(36, 42), True), (range(42, 48), True), (range(48, 60), True),
        (range(60, 68), True),
    ]  # fmt: skip
    limbs, hues = [], []
    for k, (points, closed) in enumerate(parts):
        chain = list(points) + ([points[0]] if closed else [])
        limbs += list(itertools.pairwise(chain))
        hues += [k / len(parts)] * (len(chain) - 1)
    flip = list(range(68))
    mirrored = [(a, 16 - a) for a in range(8)] + [(17 + a, 26 - a) for a in range(5)] + [(31, 35), (32, 34)]
    mirrored += [(36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    mirrored += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    for a, b in mirrored:
        flip[a], flip[b] = b, a
    return Skeleton("face_68", tuple(f"landmark_{i}" for i in range(68)), tuple(limbs), tuple(flip), tuple(hues))


BODY_15 = _body_15()
FACE_68 = _face_68()
SKELETONS = {s.name: s for s in (BODY_15, FACE_68)}


def get_skeleton(name: str) -> Skeleton:
    """Return the skeleton of that name.

    Raises:
        ConfigError: for an unknown name.
    """
    if name not in SKELETONS:
        raise ConfigError("skeleton", f"unknown skeleton {name!r}", f"choose one of {', '.join(SKELETONS)}")
    return SKELETONS[name]
