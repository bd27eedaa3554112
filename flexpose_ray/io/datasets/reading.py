"""What every reader ends with: joints mapped onto a skeleton, unusable poses dropped and counted, the rest cropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flexpose_ray.core.errors import DataError
from flexpose_ray.core.geometry import crop
from flexpose_ray.core.poses import PoseSet
from flexpose_ray.core.skeleton import get_skeleton

JointMap = dict[str, tuple[str, ...]]  # skeleton joint -> the source's joints whose mean it is

MIN_PIXELS = 8.0  # a person whose longer side is shorter is a smudge: its joints are rounded to an eighth of the body
MAX_COORDINATE = 1e5  # no picture is larger; beyond it a coordinate is a broken number


@dataclass(frozen=True)
class ReadReport:
    """What a reader found.

    Attributes:
        source: the set that was read.
        read: persons (frames, faces) found there.
        kept: how many became poses.
        dropped: reason -> persons dropped for it. Near-identical frames of a video are kept.
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
        wide = max(len(text) for text, _ in rows)
        return "\n".join([self.source] + [f"{text:<{wide}}  {count:>9,}" for text, count in rows])


def map_joints(points_NSD: np.ndarray, names: Sequence[str], joint_map: JointMap, where: str) -> np.ndarray:
    """Form a skeleton's joints from a source's own.

    Args:
        points_NSD: coordinates (or flags) of the source's S joints.
        names: the S names.
        joint_map: one entry per skeleton joint, in storage order; several source joints are averaged.
        where: the file, for the error.

    Returns:
        points_NJD: float64.

    Raises:
        DataError: the map asks for a joint that the source does not have.
    """
    at = {name: i for i, name in enumerate(names)}
    missing = sorted({s for sources in joint_map.values() for s in sources} - set(at))
    if missing:
        raise DataError(
            where, f"no joint {missing[0]!r} there, found {', '.join(names)}", "map the joints you have with --mapping"
        )
    return np.stack([points_NSD[:, [at[s] for s in sources]].mean(1) for sources in joint_map.values()], 1)


def finish(
    source: str,
    pixels_NJ2: np.ndarray,
    group_N: np.ndarray,
    label_N: np.ndarray,
    *,
    row_names: Sequence[str],
    complete_N: np.ndarray | None = None,
    min_extent: float = MIN_PIXELS,
    skeleton: str = "body_15",
) -> tuple[PoseSet, ReadReport]:
    """Drop what cannot be used, crop the rest, and count both.

    Args:
        source: the set, as the user named it.
        pixels_NJ2: the skeleton's joints in pixels (or any unit), garbage where a joint is missing.
        group_N: str, see PoseSet.
        label_N: str, see PoseSet.
        row_names: where each row stands in the file, for the error.
        complete_N: False where a joint is missing; None: all are complete.
        min_extent: a pose with a shorter longer side is dropped as too small.
        skeleton: the skeleton's name.

    Raises:
        DataError: a complete pose holds NaN or infinity, or no pose is left.
    """
    complete_N = np.ones(len(pixels_NJ2), bool) if complete_N is None else complete_N
    joints = get_skeleton(skeleton).joints
    broken_NJ = ~np.isfinite(pixels_NJ2).all(2) & complete_N[:, None]
    if broken_NJ.any():
        row, joint = np.argwhere(broken_NJ)[0]
        problem = f"{joints[joint]} is NaN, infinite or empty, expected a number"
        raise DataError(f"{source}, {row_names[row]}", problem, "correct or delete this pose")
    with np.errstate(invalid="ignore"):
        huge_N = (np.abs(pixels_NJ2) > MAX_COORDINATE).any((1, 2))
        small_N = np.ptp(pixels_NJ2, axis=1).max(1, initial=0) < min_extent
    reasons = {
        "joints missing": ~complete_N,
        f"out of range (beyond {MAX_COORDINATE:,.0f})": complete_N & huge_N,
        f"too small (longer side under {min_extent:g})": complete_N & ~huge_N & small_N,
    }
    dropped = {reason: int(mask.sum()) for reason, mask in reasons.items() if mask.any()}
    keep_N = complete_N & ~huge_N & ~small_N
    if not keep_N.any():
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "it is empty"
        raise DataError(source, f"no usable pose there: {why}", "give a set with complete poses")
    keypoints_NJ2, crop_N3 = crop(pixels_NJ2[keep_N])
    poses = PoseSet(keypoints_NJ2, skeleton, crop_N3, np.asarray(group_N)[keep_N], np.asarray(label_N)[keep_N])
    labels = dict(sorted(Counter(poses.label_N.tolist()).items()))
    return poses, ReadReport(source, len(keep_N), len(poses), dropped, len(np.unique(poses.group_N)), labels)
