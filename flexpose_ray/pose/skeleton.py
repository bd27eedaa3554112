"""Skeletons: joints, limbs, left-right pairs and limb colours. The shipped ones lie in ``flexpose_ray/skeletons``;
one's own is a file of the same form.

Wherever data names its skeleton (pose sets, weights, data sets) a shipped one stands by its name, one's own by its
whole definition, so that what was made with it can be read without its file.
"""

from __future__ import annotations

import colorsys
import itertools
import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from reprlib import repr as short  # what a file repeats by reference would never end
from typing import Any

import numpy as np
import yaml

from flexpose_ray.canonical import canonical_text
from flexpose_ray.errors import ConfigError

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
MOST_JOINTS = 512
KEYS = ("name", "category", "joints", "mirror", "limbs")
HUE_STEP = 0.381966  # of the colour circle, from chain to chain where no hue is given: neighbours lie far apart


@dataclass(frozen=True)
class Skeleton:
    """A fixed set of joints and the limbs between them.

    Attributes:
        name: how people refer to it.
        joints: joint names, in storage order.
        limbs: pairs of joint indices.
        flip: for every joint the index of its mirror image.
        hues: hue of every limb in [0, 1); limbs of one hue share a colour.
        category: what it is a skeleton of, for annotation files.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[int, int], ...]
    flip: tuple[int, ...]
    hues: tuple[float, ...]
    category: str = "object"

    @property
    def n_joints(self) -> int:
        return len(self.joints)

    @cached_property
    def text(self) -> str:
        """How data refers to it: the name of a shipped one, else its definition. :func:`get_skeleton` reads both."""
        if self.name in SKELETONS:
            return self.name
        mirror = [[self.joints[a], self.joints[b]] for a, b in enumerate(self.flip) if a < b]
        limbs = [
            {"chain": [self.joints[a], self.joints[b]], "hue": hue}
            for (a, b), hue in zip(self.limbs, self.hues, strict=True)
        ]
        values = (self.name, self.category, list(self.joints), mirror, limbs)
        return canonical_text(dict(zip(KEYS, values, strict=True)))

    @cached_property
    def colors_L3(self) -> np.ndarray:
        """RGB colour of every limb, float32 in [0, 1], fully saturated."""
        return np.array([colorsys.hsv_to_rgb(h, 1.0, 1.0) for h in self.hues], np.float32)

    @cached_property
    def limbs_LK(self) -> np.ndarray:
        """Joint indices of both ends of every limb, int64."""
        return np.array(self.limbs, np.int64)


def get_skeleton(text: str) -> Skeleton:
    """The skeleton that data refers to: a shipped one by its name, one's own by its definition.

    Raises:
        ConfigError: for an unknown name or a definition that is none.
    """
    return _skeleton(text)  # a cached function has no docstring of its own


def load_skeleton(source: str | Path) -> Skeleton:
    """The skeleton that a person names: a shipped one, or a YAML file::

        name: dog_5
        joints: [nose, left_ear, right_ear, withers, tail]
        mirror: [[left_ear, right_ear]]
        limbs:
          - [nose, withers, tail]                       # a chain of limbs; each chain gets a colour
          - {chain: [left_ear, nose, right_ear], hue: 0.5}

    Raises:
        ConfigError: no such file, or what is wrong in it.
    """
    if str(source) in SKELETONS or str(source).startswith("{"):
        return get_skeleton(str(source))
    path = Path(source)
    if not path.is_file():
        hint = f"give one of {', '.join(SKELETONS)}, or a YAML file"
        raise ConfigError("skeleton", f"{str(source)!r} is neither shipped nor a file", hint)
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, ValueError, RecursionError) as e:
        raise ConfigError(path, f"broken YAML: {' '.join(str(e).split())}", "repair the skeleton") from e
    skeleton = _parse(found, str(path))
    if skeleton.name in SKELETONS:
        raise ConfigError(path, f"{skeleton.name} is the name of a shipped skeleton", "give yours another")
    return get_skeleton(skeleton.text)


@cache
def _skeleton(text: str) -> Skeleton:
    if text in SKELETONS:
        return _parse(yaml.safe_load(_FOLDER.joinpath(f"{text}.yaml").read_text(encoding="utf-8")), text)
    if not text.startswith("{"):
        raise ConfigError("skeleton", f"unknown skeleton {text!r}", f"choose one of {', '.join(SKELETONS)}")
    try:
        return _parse(json.loads(text), "skeleton")
    except (ValueError, RecursionError) as e:
        raise ConfigError("skeleton", f"a broken definition: {e}", "make the data again") from e


def _parse(found: Any, where: str) -> Skeleton:
    """A skeleton from a file's or a definition's content."""

    def wrong(problem: str) -> ConfigError:
        return ConfigError(where, problem, "see `flexpose_ray/skeletons` for skeletons of this form")

    if not isinstance(found, dict) or not {"name", "joints", "limbs"} <= set(found):
        raise wrong("a skeleton has name, joints and limbs")
    if unknown := sorted(str(key) for key in set(found) - set(KEYS)):
        raise wrong(f"unknown key {unknown[0]!r}")
    name, category = found["name"], found.get("category", "object")
    if not all(isinstance(word, str) and NAME.fullmatch(word) for word in (name, category)):
        raise wrong(f"name {short(name)}, category {short(category)}: expected small letters, digits and _")
    joints = found["joints"]
    if not isinstance(joints, list) or not all(isinstance(j, str) and j and len(j) <= 80 for j in joints):
        raise wrong("joints are a list of names")
    if not 2 <= len(joints) <= MOST_JOINTS or len(set(joints)) < len(joints):
        raise wrong(f"found {len(joints)} joints, expected 2 to {MOST_JOINTS} different ones")
    at = {joint: i for i, joint in enumerate(joints)}

    def chain(value: Any) -> list[int]:
        if not isinstance(value, list) or len(value) < 2 or not all(isinstance(j, str) and j in at for j in value):
            raise wrong(f"found {short(value)}, expected a list of two joints or more")
        return [at[joint] for joint in value]

    flip = list(range(len(joints)))
    for pair in found.get("mirror") or []:
        a, b, *more = chain(pair)
        if more or a == b or flip[a] != a or flip[b] != b:
            raise wrong(f"mirror: {short(pair)} is no pair, or one of them has another")
        flip[a], flip[b] = b, a
    limbs, hues = [], []
    for k, entry in enumerate(found["limbs"] if isinstance(found["limbs"], list) else []):
        entry = {"chain": entry} if isinstance(entry, list) else entry
        if not isinstance(entry, dict) or not set(entry) <= {"chain", "hue"} or "chain" not in entry:
            raise wrong(f"limbs: found {short(entry)}, expected a list of joints or {{chain: [...], hue: 0.5}}")
        hue = entry.get("hue", k * HUE_STEP % 1)
        if isinstance(hue, bool) or not isinstance(hue, int | float) or not 0 <= hue < 1:
            raise wrong(f"limbs: hue {short(hue)}, expected a number from 0 to 1")
        ends = list(itertools.pairwise(chain(entry["chain"])))
        if any(a == b for a, b in ends):
            raise wrong("limbs: a limb from a joint to itself")
        limbs += ends
        hues += [float(hue)] * len(ends)
    if loose := [joint for joint in joints if at[joint] not in {end for limb in limbs for end in limb}]:
        raise wrong(f"{loose[0]} is in no limb, so that no picture shows it")
    return Skeleton(name, tuple(joints), tuple(limbs), tuple(flip), tuple(hues), category)


_FOLDER = files("flexpose_ray") / "skeletons"
SKELETONS = tuple(sorted(path.name.removesuffix(".yaml") for path in _FOLDER.iterdir() if path.name.endswith(".yaml")))
BODY_15 = get_skeleton("body_15")
FACE_68 = get_skeleton("face_68")
