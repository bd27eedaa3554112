"""What may follow the ``?`` of a source: options of its reading, the same names for all formats."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from flexpose_ray.errors import ConfigError
from flexpose_ray.pose.skeleton import Skeleton, load_skeleton

MIN_CONFIDENCE = 0.3
MAX_BAD = 0.01
AXES = ("x", "y", "z", "-x", "-y", "-z")
YES = {"yes": True, "true": True, "1": True, "": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True)
class Options:
    """How a source is read.

    Attributes:
        size: (width, height) of the pictures; coordinates are then shares of both. None: coordinates are pixels.
        y_up: whether y grows upwards.
        swap_sides: whether the names of left and right joints are exchanged.
        min_confidence: a joint of less is missing; 0 to 1.
        skeleton: which the poses shall be of; None: body_15 or face_68, by their joints.
        max_bad: share of rows that may be unreadable before the source is refused.
        own: the format's own options that were given.
    """

    size: tuple[float, float] | None = None
    y_up: bool = False
    swap_sides: bool = False
    min_confidence: float = MIN_CONFIDENCE
    max_bad: float = MAX_BAD
    skeleton: Skeleton | None = None
    own: dict[str, str] = field(default_factory=dict)


COMMON = {
    "size": "size=WIDTHxHEIGHT: coordinates are shares of these pictures",
    "y": "y=up: y grows upwards (default: down)",
    "swap_sides": "swap_sides=yes: left joints are right ones, right ones left",
    "skeleton": "skeleton=hand_21 or skeleton=mine.yaml: poses of this skeleton (default: body_15 or face_68)",
    "min_confidence": f"min_confidence=0.5: joints of less are missing (default {MIN_CONFIDENCE})",
    "max_bad": f"max_bad=0.05: share of rows that may be unreadable (default {MAX_BAD})",
}
OF_PICTURES = ("size", "y", "min_confidence")


def parse_options(query: str, source: str, own: tuple[str, ...] = (), in_3d: bool = False) -> Options:
    """Parse ``size=640x480&y=up``.

    Args:
        query: what follows the ``?``; may be empty.
        source: for errors.
        own: the names of options that only this format has; their values are left to it.
        in_3d: whether cameras make the pictures, so that nothing is to be said of them.

    Raises:
        ConfigError: an unknown option, an option twice, or a value that cannot be used.
    """
    where = f"source {source!r}"
    common = [name for name in COMMON if not (in_3d and name in OF_PICTURES)]
    pairs = parse_qsl(query, keep_blank_values=True)
    given = dict(pairs)
    for name, _ in pairs:
        if name not in common and name not in own:
            raise ConfigError(where, f"unknown option {name!r}", f"the options are {', '.join([*own, *common])}")
        if sum(name == other for other, _ in pairs) > 1:
            raise ConfigError(where, f"{name} stands there twice", "give it once")

    def share(name: str, default: float) -> float:
        value = given.get(name, str(default))
        if not re.fullmatch(r"\d*\.?\d+", value) or not 0 <= float(value) <= 1:
            raise ConfigError(where, f"{name} is {value!r}, expected a number from 0 to 1", COMMON[name])
        return float(value)

    if given.get("y", "down") not in ("up", "down"):
        raise ConfigError(where, f"y is {given['y']!r}, expected up or down", COMMON["y"])
    if given.get("swap_sides", "no") not in YES:
        raise ConfigError(where, f"swap_sides is {given['swap_sides']!r}, expected yes or no", COMMON["swap_sides"])
    return Options(
        size=parse_size(given["size"], where) if "size" in given and "size" not in own else None,
        y_up=given.get("y") == "up",
        swap_sides=YES[given.get("swap_sides", "no")],
        min_confidence=share("min_confidence", MIN_CONFIDENCE),
        max_bad=share("max_bad", MAX_BAD),
        skeleton=load_skeleton(given["skeleton"]) if "skeleton" in given else None,
        own={name: value for name, value in given.items() if name in own},
    )


def parse_whole(name: str, text: str, where: object, way_out: str, least: int = 1, digits: int = 9) -> int:
    """The whole number that an option gives.

    Args:
        name: of the option.
        text: its value.
        where: for errors.
        way_out: for errors.
        least: smallest number allowed.
        digits: of the longest text allowed.

    Raises:
        ConfigError: anything else.
    """
    if not (text.isdecimal() and len(text) <= digits and int(text) >= least):
        raise ConfigError(where, f"{name} is {text!r}, expected a whole number", way_out)
    return int(text)


def parse_size(text: str, where: str) -> tuple[float, float]:
    """(width, height) of ``640x480``.

    Raises:
        ConfigError: anything else.
    """
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)[xX](\d{1,6}(?:\.\d+)?)", text)
    size = tuple(float(side) for side in found.groups()) if found else (0.0, 0.0)
    if min(size) <= 0:
        raise ConfigError(where, f"size is {text!r}, expected WIDTHxHEIGHT", "write it like size=640x480")
    return size
