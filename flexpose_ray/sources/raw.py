"""What a reader returns, and how it becomes a pose set: joints mapped, unusable poses dropped, the rest cropped."""

from __future__ import annotations

import gzip
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import crop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, SKELETONS
from flexpose_ray.text_table import text_table

JointMap = dict[str, tuple[str, ...]]  # skeleton joint, in storage order -> the source's joints that it is the mean of

IDENTITY_15: JointMap = {joint: (joint,) for joint in BODY_15.joints}
LIMBS_TO_15 = IDENTITY_15 | {"neck": ("left_shoulder", "right_shoulder"), "pelvis": ("left_hip", "right_hip")}

MIN_PIXELS = 8.0  # longer side of a person; joints of a smaller one are rounded to an eighth of the body or worse
MAX_COORDINATE = 1e5  # no picture is larger, so a greater coordinate is a broken number


@dataclass(frozen=True)
class ReadReport:
    """What was found in a source.

    Attributes:
        source: the set that was read.
        read: persons (frames, faces) found there.
        kept: how many became poses.
        dropped: reason -> persons dropped for it. Nearly identical frames of a video are kept.
        groups: how many groups (pictures, videos, clips) the kept poses come from.
        labels: label -> poses kept.
    """

    source: str
    read: int
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    labels: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        rows = [("persons read", self.read)]
        rows += [(f"  dropped: {reason}", count) for reason, count in self.dropped.items()]
        rows += [("poses kept", self.kept), ("  from groups", self.groups)]
        rows += [(f"  label: {label or '(none)'}", count) for label, count in self.labels.items()]
        return f"{self.source}\n{text_table([(text, f'{count:,}') for text, count in rows])}"


@dataclass(frozen=True, eq=False)
class RawPoses:
    """Poses as their file has them: nothing is mapped, dropped or cropped yet.

    Attributes:
        points_NS2: the source's S joints in pixels (or any unit), anything where a joint is missing.
        names: the names of the S joints.
        row_names: where each pose stands in the file, for errors.
        joint_map: how these joints form a skeleton's, where the format fixes that. None: the joints must be a
            skeleton's own, unless the user gives a mapping.
        group_N: see PoseSet; None: every pose is its own group, named by its number from 0.
        label_N: see PoseSet; None: no pose has a label.
        missing_NS: True where a joint is not labelled; None: all joints are labelled.
        min_extent: a pose whose longer side is shorter is dropped as too small.
    """

    points_NS2: np.ndarray
    names: Sequence[str]
    row_names: Sequence[str]
    joint_map: JointMap | None = None
    group_N: np.ndarray | None = None
    label_N: np.ndarray | None = None
    missing_NS: np.ndarray | None = None
    min_extent: float = MIN_PIXELS


def unpacked(path: Path) -> bytes:
    """Read a file; gzip is unpacked, whatever the file's name.

    Raises:
        DataError: a damaged gzip file.
    """
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, zlib.error, gzip.BadGzipFile) as e:
        raise DataError(path, f"damaged file: {e}", "download it again") from e


def to_pose_set(source: str | Path, raw: RawPoses, joint_map: JointMap | None = None) -> tuple[PoseSet, ReadReport]:
    """Form a skeleton's joints, drop the poses that cannot be used, crop the others, and count both.

    Args:
        source: the set's name, for errors and the report.
        raw: what a reader returned.
        joint_map: the user's mapping; None: the format's own.

    Raises:
        DataError: a joint that the map names is missing or there twice, a labelled joint is NaN or infinite, or no
            pose is left.
    """
    source, names = str(source), list(raw.names)
    joint_map = joint_map or raw.joint_map or _own_joints(source, names)
    columns = joint_columns(source, names, joint_map)
    if len(set(names)) < len(names):
        raise DataError(source, f"two joints have one name among {', '.join(names)}", "give every joint its own name")
    pixels_NJ2 = np.stack([raw.points_NS2[:, parts].mean(1) for parts in columns], 1)
    incomplete_N = np.zeros(len(pixels_NJ2), bool)
    if raw.missing_NS is not None:
        incomplete_N = np.any([raw.missing_NS[:, parts].any(1) for parts in columns], axis=0)
    broken_NJ = ~np.isfinite(pixels_NJ2).all(2) & ~incomplete_N[:, None]
    if broken_NJ.any():
        row, joint = np.argwhere(broken_NJ)[0]
        problem = f"{list(joint_map)[joint]} is NaN, infinite or empty, expected a number"
        raise DataError(f"{source}, {raw.row_names[row]}", problem, "correct or delete this pose")
    pixels_NJ2 = np.where(incomplete_N[:, None, None], 0, pixels_NJ2)
    huge_N = (np.abs(pixels_NJ2) > MAX_COORDINATE).any((1, 2))
    small_N = np.ptp(pixels_NJ2, axis=1).max(1) < raw.min_extent
    reasons = {
        "joints missing": incomplete_N,
        f"out of range (beyond {MAX_COORDINATE:,.0f})": huge_N,
        f"too small (longer side under {raw.min_extent:g})": small_N & ~incomplete_N & ~huge_N,
    }
    dropped = {reason: int(mask.sum()) for reason, mask in reasons.items() if mask.any()}
    keep_N = ~(incomplete_N | huge_N | small_N)
    if not keep_N.any():
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "it is empty"
        raise DataError(source, f"no usable pose there: {why}", "give a set with complete poses")
    skeleton = next(name for name, s in SKELETONS.items() if s.joints == tuple(joint_map))
    keypoints_NJ2, crop_N3 = crop(pixels_NJ2[keep_N])
    group_N = np.arange(len(keep_N)).astype(str) if raw.group_N is None else raw.group_N
    label_N = np.full(len(keep_N), "") if raw.label_N is None else raw.label_N
    poses = PoseSet(keypoints_NJ2, skeleton, crop_N3, group_N[keep_N], label_N[keep_N])
    return poses, summarise(source, poses, dropped)


def joint_columns(where: str, names: list[str], joint_map: JointMap) -> list[list[int]]:
    """For every joint of a skeleton the columns of a source whose mean it is.

    Args:
        where: the source, for the error.
        names: the names of the source's joints, column by column.
        joint_map: how they form the skeleton's.

    Raises:
        DataError: the map names a joint that is not there.
    """
    if absent := sorted({name for parts in joint_map.values() for name in parts} - set(names)):
        problem = f"no joint {absent[0]!r} there, found {', '.join(names)}"
        raise DataError(where, problem, "map the joints you have with --mapping")
    return [[names.index(name) for name in parts] for parts in joint_map.values()]


def summarise(source: str, poses: PoseSet, dropped: dict[str, int] | None = None) -> ReadReport:
    """Count the poses kept of a source, their groups and labels, and what was dropped."""
    dropped = dropped or {}
    labels = dict(sorted(Counter(poses.label_N.tolist()).items()))
    groups = len(np.unique(poses.group_N))
    return ReadReport(source, len(poses) + sum(dropped.values()), len(poses), dropped, groups, labels)


def _own_joints(source: str, names: list[str]) -> JointMap:
    """The map of a source whose joints already are a skeleton's, by name or, where they are numbered, in its order."""
    for skeleton in SKELETONS.values():
        if set(names) == set(skeleton.joints):
            return {joint: (joint,) for joint in skeleton.joints}
        if names == [str(i) for i in range(skeleton.n_joints)]:
            return dict(zip(skeleton.joints, [(name,) for name in names], strict=True))
    wanted = " or ".join(f"the {s.n_joints} of {s.name}" for s in SKELETONS.values())
    problem = f"found {len(names)} joints ({', '.join(names[:4])}, ...), expected exactly {wanted}"
    hint = "name each joint's columns in a YAML file: `flexpose prepare --mapping FILE`, or mapping: FILE in a recipe"
    raise DataError(source, problem, hint)
