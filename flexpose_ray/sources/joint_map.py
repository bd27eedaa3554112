"""How a source's own joints form a skeleton's: by name, as the mean of several, or as the first of several there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as short  # what a file repeats by reference would never end

import numpy as np
import yaml

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.skeleton import BODY_15, SKELETONS, Skeleton, get_skeleton
from flexpose_ray.sources.text import unique_keys

OTHER = {"left": "right", "right": "left"}
Parts = tuple[str, ...]  # joints of the source; their mean is meant
JointMap = dict[
    str, Parts | list[Parts]
]  # a skeleton's joint -> its parts; a list: the first whose joints are all there

IDENTITY_15: JointMap = {joint: (joint,) for joint in BODY_15.joints}
LIMBS_TO_15 = IDENTITY_15 | {"neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip")}


def read_mapping(path: str | Path, skeleton: Skeleton | None = None) -> JointMap:
    """Read a joint map from YAML. A joint is the name (or the number, from 0) of a source joint, a list of them, whose
    mean it is, or the first of several that a pose has::

        head: {first: [nose, [left_ear, right_ear]]}
        neck: [l_shoulder, r_shoulder]
        pelvis: [l_hip, r_hip]
        left_shoulder: l_shoulder

    Args:
        path: the file.
        skeleton: whose joints it maps; None: the shipped one that has most of them.

    Raises:
        ConfigError: missing file, broken YAML, a joint twice, not exactly one skeleton's joints, or one source joint
            for two of the skeleton.
    """
    path = Path(path)
    if not path.is_file():
        raise ConfigError(path, "no such mapping file", "check the path given as --mapping")
    try:
        found = yaml.load(
            path.read_text(encoding="utf-8-sig").replace("\t", " "), unique_keys()
        )  # plain text, no objects
    except (yaml.YAMLError, ValueError, RecursionError) as e:  # ValueError: no UTF-8, or a date such as 2020-13-45
        raise ConfigError(path, f"broken YAML: {' '.join(str(e).split())}", "repair the mapping") from e
    if not isinstance(found, dict):
        raise ConfigError(path, "not a mapping of joints", "write one line for each joint, such as `head: nose`")
    shipped = [get_skeleton(name) for name in SKELETONS]
    skeleton = skeleton or max(shipped, key=lambda s: (len(set(s.joints) & set(found)), -s.n_joints))
    joint_map: JointMap = {}
    for joint in skeleton.joints:
        if joint not in found:
            raise ConfigError(path, f"{joint} of {skeleton.name} is not mapped", "add it to the mapping")
        joint_map[joint] = _parts(found.pop(joint), f"{path}, {joint}")
    if found:
        raise ConfigError(path, f"{skeleton.name} has no joint {next(iter(found))!r}", "remove it from the mapping")
    _refuse_twice(path, joint_map)
    return joint_map


def alternatives(parts: Parts | list[Parts]) -> list[Parts]:
    """All that a joint may be formed of, the best first."""
    return parts if isinstance(parts, list) else [parts]


def used_joints(joint_map: JointMap) -> set[str]:
    """The source's joints that a map needs; of alternatives those of the last, which a pose must have at the least."""
    return {name for parts in joint_map.values() for name in alternatives(parts)[-1]}


def form_joints(
    where: str, names: Sequence[str], joint_map: JointMap, points_NS2: np.ndarray, missing_NS: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Form a skeleton's joints.

    Args:
        where: the source, for errors.
        names: of its S joints.
        joint_map: how they form the skeleton's J.
        points_NS2: the source's joints; any number of axes.
        missing_NS: where a joint is not there.

    Returns:
        formed_NJ2: the skeleton's joints, 0 where one is missing.
        missing_NJ: True where none of a joint's alternatives is whole.

    Raises:
        DataError: the map names a joint that the source does not have, or has twice.
    """
    at = {name: i for i, name in enumerate(names)}
    if not any(name.isdecimal() for name in names):
        at |= {str(i): i for i in range(len(names))}  # among joints with names a number is a place
    bare = [plain_name(name) for name in names]
    at = {name: i for i, name in enumerate(bare) if bare.count(name) == 1} | at if ":" in "".join(names) else at
    twice = {name for name in names if list(names).count(name) > 1} if len(set(names)) < len(names) else set()
    choices_J = [_columns(where, names, at, twice, joint, parts) for joint, parts in joint_map.items()]
    if all(len(choices) == 1 == len(choices[0]) for choices in choices_J):
        columns_J = [choices[0][0] for choices in choices_J]
        missing_NJ = missing_NS[:, columns_J]
        return np.where(missing_NJ[..., None], 0, points_NS2[:, columns_J]), missing_NJ
    formed = np.zeros((len(points_NS2), len(joint_map), points_NS2.shape[2]))
    missing_NJ = np.ones((len(points_NS2), len(joint_map)), bool)
    for k, choices in enumerate(choices_J):
        for columns in choices:
            new_N = missing_NJ[:, k] & ~missing_NS[:, columns].any(1)
            formed[new_N, k] = points_NS2[new_N][:, columns].mean(1)
            missing_NJ[new_N, k] = False
    return formed, missing_NJ


def plain_name(name: str) -> str:
    """A joint's name without its namespace (``mixamorig:``, ``Bip01``), blanks, marks and capitals."""
    plain = re.sub(r"[^a-z0-9]", "", name.rpartition(":")[2].lower())
    return re.sub(r"^(mixamorig\d*|bip0*\d+)(?=.)", "", plain)


def crossed_sides(joint_map: JointMap) -> list[str]:
    """What in a mapping gives a left joint a right one's name, or the other way."""
    found = []
    for joint, parts in joint_map.items():
        side = next((side for side in OTHER if side in joint.lower()), None)
        names = [name for choice in alternatives(parts) for name in choice]
        if side and names and all(OTHER[side] in name.lower() and side not in name.lower() for name in names):
            found.append(f"{joint}: {names[0]}")
    return found


def _columns(
    where: str, names: Sequence[str], at: dict[str, int], twice: set[str], joint: str, parts: Parts | list[Parts]
) -> list[list[int]]:
    """The columns of each of a joint's alternatives that the source has."""
    known = [choice for choice in alternatives(parts) if all(name in at for name in choice)]
    if not known and all(plain_name(name) in at for choice in alternatives(parts) for name in choice):
        known = [tuple(plain_name(name) for name in choice) for choice in alternatives(parts)]
    if not known:
        absent = next(name for name in alternatives(parts)[-1] if name not in at)
        problem = f"no joint {absent!r} there for {joint}, found {', '.join(list(names)[:40])}"
        raise DataError(where, problem, "map the joints you have with --mapping")
    if double := [name for choice in known for name in choice if name in twice]:
        raise DataError(where, f"two joints have the name {double[0]!r}", "give every joint its own name")
    return [[at[name] for name in choice] for choice in known]


def _parts(value: object, where: str) -> Parts | list[Parts]:
    """The parts that one line of a mapping names."""
    if isinstance(value, dict) and list(value) == ["first"] and isinstance(value["first"], list) and value["first"]:
        return [_mean(choice, where) for choice in value["first"]]
    return _mean(value, where)


def _mean(value: object, where: str) -> Parts:
    names = value if isinstance(value, list) else [value]
    if not names or not all(isinstance(name, str) and name for name in names):
        problem = f"found {short(value)}, expected a joint's name, a list of names or {{first: [NAME, ...]}}"
        raise ConfigError(where, problem, "write it like `neck: [l_shoulder, r_shoulder]`")
    return tuple(names)


def _refuse_twice(path: Path, joint_map: JointMap) -> None:
    """One source joint alone for two joints of the skeleton is a slip of the pen: a pose would have no limb there."""
    seen: dict[str, str] = {}
    for joint, parts in joint_map.items():
        for names in alternatives(parts):
            if len(names) == 1 and seen.setdefault(names[0], joint) != joint:
                problem = f"{names[0]!r} is both {seen[names[0]]} and {joint}"
                raise ConfigError(path, problem, f"where it is meant, write {joint}: [{names[0]}, {names[0]}]")
