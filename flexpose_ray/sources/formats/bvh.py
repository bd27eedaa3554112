"""BVH motion capture files, plain or gzipped: the hierarchy, the channels, and the joints' positions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.text import read_text

AXES = "XYZ"
COMMENT = re.compile(r"(#|//).*")
KEYWORD = re.compile(r"\s*(root|joint|end\s*:?\s*site|offset|channels|[{}])(?![a-z])", re.IGNORECASE)
FRAMES = re.compile(r"frames\s*:?\s*(\d{1,9}(?:\.0*)?)", re.IGNORECASE)
FRAME_TIME = re.compile(r"frame\s*time\s*:?", re.IGNORECASE)
ONE_OFF = 1  # frames that some programs count too many or too few
CHANNELS = [f"{axis}{what}" for what in ("position", "rotation") for axis in AXES]


@dataclass
class Joint:
    """One joint of a hierarchy. The end of a chain counts as one, without channels and named after its parent.

    Attributes:
        name: as in the file; ``NAME_end`` for the end site of NAME.
        parent: index of the parent, -1 for the root.
        offset_3: from the parent, in the parent's axes.
        channels: their names, in the order of the file.
    """

    name: str
    parent: int
    offset_3: np.ndarray | None = None
    channels: tuple[str, ...] = ()


def read_bvh(path: Path) -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    """Read a file and compute its joints' positions.

    Rotations are in degrees and are applied as listed (``Zrotation Xrotation Yrotation``: R = Rz Rx Ry). Position
    channels replace the joint's offset, for the root and for any other joint.

    Returns:
        names: the joints, with end sites as ``NAME_end``.
        world_FS3: their positions in every frame, float64, in the file's unit and axes.
        notes: what people should know of the file.

    Raises:
        DataError: a damaged or truncated file, a broken hierarchy, a wrong number of channels or values, or NaN.
    """
    lines = read_text(path).splitlines()
    first = next((i for i, line in enumerate(lines) if _words(line)), 0)
    start = next((i for i, line in enumerate(lines) if _words(line)[:1] == ["motion"]), None)
    if start is None or _words(lines[first])[:1] != ["hierarchy"]:
        raise DataError(path, "no HIERARCHY and MOTION there", "give a whole BVH file")
    joints = _hierarchy(path, lines, first, start)
    values_FC, notes = _motion(path, lines, start + 1, sum(len(joint.channels) for joint in joints))
    return [joint.name for joint in joints], forward_kinematics(joints, values_FC), notes


def _words(line: str) -> list[str]:
    """The words of a line in small letters, without a comment."""
    return COMMENT.sub("", line).lower().split()


def forward_kinematics(joints: list[Joint], values_FC: np.ndarray) -> np.ndarray:
    """Positions of the joints (F, S, 3) from the channels' values, degrees and length units, in the file's order."""
    frames = len(values_FC)
    world_FS3, turns, used = np.empty((frames, len(joints), 3)), [], 0
    for k, joint in enumerate(joints):
        place_F3 = np.tile(joint.offset_3, (frames, 1))
        turn_F33 = np.broadcast_to(np.eye(3), (frames, 3, 3))
        for channel in joint.channels:
            axis, value_F = AXES.index(channel[0]), values_FC[:, used]
            used += 1
            if channel.endswith("position"):
                place_F3[:, axis] = value_F
            else:
                turn_F33 = turn_F33 @ _rotation(axis, np.radians(value_F))
        if joint.parent >= 0:
            place_F3 = world_FS3[:, joint.parent] + np.einsum("fij,fj->fi", turns[joint.parent], place_F3)
            turn_F33 = turns[joint.parent] @ turn_F33
        world_FS3[:, k] = place_F3
        turns.append(turn_F33)
    return world_FS3


def _rotation(axis: int, angle_F: np.ndarray) -> np.ndarray:
    """Right-handed rotations (F, 3, 3) about one axis, radians."""
    second, third = (axis + 1) % 3, (axis + 2) % 3
    rotation_F33 = np.zeros((len(angle_F), 3, 3))
    rotation_F33[:, axis, axis] = 1
    rotation_F33[:, second, second] = rotation_F33[:, third, third] = np.cos(angle_F)
    rotation_F33[:, third, second] = np.sin(angle_F)
    rotation_F33[:, second, third] = -np.sin(angle_F)
    return rotation_F33


def _hierarchy(path: Path, lines: list[str], first: int, end: int) -> list[Joint]:
    """The joints in the order of the file, which is that of the channels; a parent comes before its children."""
    joints: list[Joint] = []
    open_joints: list[int] = []
    for number, line in enumerate(lines[first:end], first + 1):
        where = f"{path}, line {number}"
        text = COMMENT.sub("", line)
        text = re.sub(r"^\s*hierarchy", "", text, flags=re.IGNORECASE) if number == first + 1 else text
        for part in re.sub(r"([{}])", r"\n\1\n", text).split("\n"):
            found = KEYWORD.match(part)
            if not part.strip():
                continue
            keyword, rest = (found[1].lower(), part[found.end() :]) if found else (part.strip(), "")
            if keyword in ("root", "joint") or keyword.startswith("end"):
                if not (open_joints if keyword != "root" else not joints):
                    raise DataError(where, f"{found[1]} in a place where it cannot be", "give one hierarchy")
                parent = open_joints[-1] if open_joints else -1
                is_end = keyword.startswith("end")
                joints.append(Joint(f"{joints[parent].name}_end" if is_end else rest.strip(" :\t"), parent))
            elif keyword == "{" and joints and len(joints) - 1 not in open_joints:
                open_joints.append(len(joints) - 1)
            elif keyword == "}" and open_joints:
                closed = joints[open_joints.pop()]
                if closed.offset_3 is None:
                    raise DataError(where, f"{closed.name} has no OFFSET", "give a whole BVH file")
            elif keyword == "offset" and open_joints:
                joints[open_joints[-1]].offset_3 = _offset(where, rest)
            elif keyword == "channels" and open_joints:
                joints[open_joints[-1]].channels = _channels(where, rest)
            else:
                raise DataError(where, f"cannot use {part.strip()[:60]!r} there", "give a whole BVH file")
    if not joints or open_joints:
        problem = f"{joints[open_joints[-1]].name} is not closed" if joints else "no ROOT there"
        raise DataError(path, problem, "give a whole BVH file")
    return joints


def _offset(where: str, text: str) -> np.ndarray:
    try:
        offset_3 = np.array(text.replace(",", ".").split(), np.float64)
    except ValueError:
        offset_3 = np.empty(0)
    if offset_3.shape != (3,) or not np.isfinite(offset_3).all():
        raise DataError(where, f"OFFSET {text.strip()}, expected three numbers", "correct the line")
    return offset_3


def _channels(where: str, text: str) -> tuple[str, ...]:
    count, *names = text.split() or [""]
    if count != str(len(names)):
        raise DataError(where, f"CHANNELS {count} with {len(names)} names", "correct the line")
    known = {name.lower(): name for name in CHANNELS}
    if unknown := [name for name in names if name.lower() not in known]:
        raise DataError(where, f"unknown channel {unknown[0]!r}", f"the channels are {', '.join(CHANNELS)}")
    return tuple(known[name.lower()] for name in names)


def _motion(path: Path, lines: list[str], start: int, channels: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """The channels' values (F, C), and a note where the header counts other frames; ``start`` is the line after MOTION,
    counted from 0."""
    at = [i for i in range(start, len(lines)) if _words(lines[i])]
    header = FRAMES.fullmatch(COMMENT.sub("", lines[at[0]]).strip()) if at else None
    if header is None or len(at) < 2 or not FRAME_TIME.match(lines[at[1]].strip()):
        raise DataError(f"{path}, line {start + 1}", "no Frames: and Frame Time: after MOTION", "give a whole BVH file")
    count = int(float(header[1]))
    rows = [COMMENT.sub("", lines[i]).split() for i in at[2:]]
    if rows and any("," in value for value in rows[0]):
        rows = [[value.replace(",", ".") for value in row] for row in rows]
    for i, row in zip(at[2:], rows, strict=True):
        if len(row) != channels:
            problem = f"found {len(row)} values, expected {channels}, one a channel"
            raise DataError(f"{path}, line {i + 1}", problem, "give a whole BVH file")
    if not rows:
        raise DataError(path, f"no frame there, its header counts {count}", "give a whole BVH file")
    notes = ()
    if abs(len(rows) - count) > ONE_OFF:
        raise DataError(path, f"found {len(rows)} frames, expected the {count} of its header", "give a whole BVH file")
    if len(rows) != count:
        notes = (f"{path.name}: found {len(rows)} frames where the header counts {count}",)
    try:
        values_FC = np.array(rows, np.float64)
    except ValueError as e:
        raise DataError(path, f"a value of the motion is no number: {e}", "correct or delete this frame") from e
    if not np.isfinite(values_FC).all():
        frame = int((~np.isfinite(values_FC)).any(1).argmax())
        problem = "a value is NaN or infinite, expected a number"
        raise DataError(f"{path}, line {at[2 + frame] + 1}", problem, "correct or delete this frame")
    return values_FC, notes
