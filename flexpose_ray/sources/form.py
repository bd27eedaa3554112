"""How what readers return becomes a pose set: joints mapped, poses that cannot be used dropped, the others cropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import crop
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15, FACE_68, SKELETONS, Skeleton, get_skeleton
from flexpose_ray.sources.checks import FEWEST, KNEES, OUTSIDE, check
from flexpose_ray.sources.joint_map import JointMap, crossed_sides, form_joints
from flexpose_ray.sources.known import known_map, nearly_known
from flexpose_ray.sources.options import Options
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.report import NAMED, ReadReport

MAX_COORDINATE = 1e5  # no picture is larger, so a greater coordinate is a broken number
OUTSIDE_UNIT = 0.2  # of a picture's side; how far joints of shares may lie outside of it
NO_SHARE = 3.0  # of a picture's side; nobody's joint is so far away
CROP_SLACK = 1e-3


@dataclass
class _Counts:
    """What is summed over the parts of a source."""

    dropped: Counter = field(default_factory=Counter)
    bad: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    numbered: int = 0
    rows: int = 0
    kept: int = 0
    seen: dict[str, tuple[int, int]] = field(default_factory=dict)
    no_unit: bool = True
    no_share: int = 0
    pictures: list[np.ndarray] = field(default_factory=list)
    unknown: list[DataError] = field(default_factory=list)

    def add(self, what: str, yes: int, of: int) -> None:
        so_far, so_many = self.seen.get(what, (0, 0))
        self.seen[what] = (so_far + yes, so_many + of)


def to_pose_set(
    source: str, parts: RawPoses | Iterable[RawPoses], joint_map: JointMap | None = None, options: Options | None = None
) -> tuple[PoseSet, ReadReport]:
    """Form a skeleton's joints, drop the poses that cannot be used, crop the others, and count and check both.

    Args:
        source: the set's name, for errors and the report.
        parts: what a reader returned, at once or file by file; a part is let go before the next is read.
        joint_map: the user's mapping; None: the format's own, or the names that are known.
        options: how coordinates and gaps are to be read.

    Raises:
        DataError: a joint that the map names is missing or there twice, too many unreadable rows, shares of pictures of
            unknown size, or no pose is left.
    """
    source, options, counts = str(source), options or Options(), _Counts()
    kept: list[PoseSet] = []
    for raw in [parts] if isinstance(parts, RawPoses) else parts:
        poses = _form(source, raw, joint_map, options, counts, first=counts.numbered)
        if poses is not None:
            kept.append(poses)
    _refuse_bad(source, counts, options)
    if counts.no_unit and options.size is None and counts.rows:
        problem = "all coordinates lie between 0 and 1: shares of pictures whose size is not known"
        raise DataError(source, problem, f"give their size: {source}?size=640x480 (1x1 where both are of one scale)")
    if options.size not in (None, (1, 1)) and counts.no_share > counts.rows / 2:
        problem = "coordinates are no shares of a picture: most lie far beyond 1"
        raise DataError(source, problem, "leave size= out where they are pixels")
    if not kept and counts.unknown:
        raise counts.unknown[0]
    counts.notes += [str(error) for error in counts.unknown[:NAMED]]
    if not kept:
        why = ", ".join(f"{count} {reason}" for reason, count in counts.dropped.items()) or "it is empty"
        raise DataError(source, f"no usable pose there: {why}", "give a set with complete poses")
    poses = _joined(source, kept)
    seen = {what: yes / of for what, (yes, of) in counts.seen.items() if of >= (FEWEST if what == KNEES else 1)}
    if options.swap_sides and KNEES in seen:
        seen[KNEES] = 1 - seen[KNEES]
    checks, warnings = check(poses, seen)
    if options.swap_sides:
        warnings = tuple(text.replace("swap_sides=yes", "swap_sides=no") for text in warnings)
    if joint_map is not None and (crossed := crossed_sides(joint_map)):
        warnings = (f"the mapping exchanges sides ({crossed[0]}): left and right are the person's own", *warnings)
    more = {"checks": checks, "notes": tuple(dict.fromkeys(counts.notes)), "warnings": warnings}
    pictures_N = np.concatenate(counts.pictures)
    return poses, ReadReport.of(source, poses, dict(counts.dropped), picture_N=pictures_N, **more)


def _form(
    source: str, raw: RawPoses, joint_map: JointMap | None, options: Options, counts: _Counts, first: int
) -> PoseSet | None:
    """The poses of one part; what cannot be used is counted. ``first`` numbers poses without groups."""
    counts.bad += raw.bad
    counts.notes += raw.notes
    counts.dropped.update(raw.passed)
    if raw.bad:
        counts.dropped["unreadable"] += len(raw.bad)
    if not len(raw.points_NS2):
        return None
    missing_NS = _missing(raw, options)
    points_NS2 = np.where(missing_NS[..., None], 0, raw.points_NS2).astype(np.float64)
    try:
        joint_map = joint_map or _own_map(source, raw, options.skeleton)
        known = [options.skeleton] if options.skeleton else [get_skeleton(name) for name in SKELETONS]
        skeleton = next(s for s in known if set(s.joints) == set(joint_map))
        joint_map = {joint: joint_map[joint] for joint in skeleton.joints}
        formed_NJ2, gaps_NJ = form_joints(source, raw.names, joint_map, points_NS2, missing_NS)
    except DataError as e:  # other parts of the source may be of use
        counts.unknown.append(e)
        counts.dropped["of joints that are not known"] += len(points_NS2)
        return None
    counts.numbered += len(points_NS2)
    whole_N = ~gaps_NJ.any(1)
    counts.no_unit &= _in_unit(formed_NJ2[whole_N], raw.min_extent)
    counts.no_share += int((np.abs(formed_NJ2[whole_N]) > NO_SHARE).any((1, 2)).sum())
    formed_NJ2 = _placed(formed_NJ2, skeleton, options)
    huge_N = (np.abs(formed_NJ2) > MAX_COORDINATE).any((1, 2))
    small_N = np.ptp(formed_NJ2, axis=1).max(1, initial=0) < raw.min_extent
    counts.rows += int(whole_N.sum())
    reasons = {
        "joints missing": ~whole_N,
        f"out of range (beyond {MAX_COORDINATE:,.0f})": huge_N & whole_N,
        f"too small (longer side under {raw.min_extent:g})": small_N & whole_N & ~huge_N,
    }
    counts.dropped.update({reason: int(mask.sum()) for reason, mask in reasons.items() if mask.any()})
    keep_N = whole_N & ~huge_N & ~small_N
    counts.kept += int(keep_N.sum())
    if not keep_N.any():
        return None
    if raw.size_N2 is not None:
        sized_N = keep_N & (raw.size_N2 > 0).all(1)
        outside_N = ((formed_NJ2 < -1) | (formed_NJ2 > raw.size_N2[:, None] + 1)).any((1, 2))
        counts.add(OUTSIDE, int((outside_N & sized_N).sum()), int(sized_N.sum()))
    for what, (yes, of) in raw.seen.items():
        counts.add(what, yes, of)
    keypoints_NJ2, crop_N3 = crop(formed_NJ2[keep_N])
    counts.pictures.append(np.full(len(keypoints_NJ2), "") if raw.picture_N is None else raw.picture_N[keep_N])
    group_N = np.arange(first, first + len(keep_N)).astype(str) if raw.group_N is None else raw.group_N
    label_N = np.full(len(keep_N), "") if raw.label_N is None else raw.label_N
    return PoseSet(keypoints_NJ2, skeleton.text, crop_N3, group_N[keep_N], label_N[keep_N])


def _missing(raw: RawPoses, options: Options) -> np.ndarray:
    """Where a joint is not there (N, S): said so, without a number, of little confidence, or at a mark for none."""
    points_NS2 = raw.points_NS2
    missing_NS = ~np.isfinite(points_NS2).all(2)
    if raw.missing_NS is not None:
        missing_NS |= raw.missing_NS
    if raw.confidence_NS is not None:
        missing_NS |= ~(raw.confidence_NS >= options.min_confidence)  # NaN is no confidence
    if raw.marks_missing:
        for mark in (0, -1):
            at_NS = (points_NS2 == mark).all(2)
            # A joint that is there in all poses, others on both of its sides, is the origin of the coordinates.
            origin_S = at_NS.all(0) & (len(at_NS) > 1) & bool((points_NS2 < mark).any() and (points_NS2 > mark).any())
            missing_NS |= at_NS & ~origin_S
    return missing_NS


def _placed(formed_NJ2: np.ndarray, skeleton: Skeleton, options: Options) -> np.ndarray:
    """Joints in pixels, y down, with the sides that the options say."""
    if options.size is not None:
        formed_NJ2 = formed_NJ2 * options.size
    if options.y_up:
        formed_NJ2 = formed_NJ2 * [1, -1]
    return formed_NJ2[:, skeleton.flip] if options.swap_sides else formed_NJ2


def _in_unit(formed_NJ2: np.ndarray, min_extent: float) -> bool:
    """Whether all poses lie in 0..1, but are not in crop units, which are of one scale."""
    if not len(formed_NJ2):
        return True
    if formed_NJ2.min() < -OUTSIDE_UNIT or formed_NJ2.max() > 1 + OUTSIDE_UNIT:
        return False
    low_N2, high_N2 = formed_NJ2.min(1), formed_NJ2.max(1)
    cropped_N = np.abs((high_N2 - low_N2).max(1) - 0.8) < CROP_SLACK
    cropped_N &= (np.abs((high_N2 + low_N2) / 2 - 0.5) < CROP_SLACK).all(1)
    return bool(not cropped_N.all())


def _refuse_bad(source: str, counts: _Counts, options: Options) -> None:
    """Too many unreadable rows are an error; few are named."""
    bad = counts.bad
    total = counts.kept + sum(counts.dropped.values())
    if len(bad) > options.max_bad * total:
        where, problem = bad[0]
        more = f"; {len(bad):,} of {total:,} rows cannot be read" if len(bad) > 1 else ""
        hint = f"correct or delete it, or allow more such rows with max_bad={len(bad) / total:.2f}"
        raise DataError(f"{source}, {where}", problem + more, hint)
    counts.notes += [f"{where}: {problem}" for where, problem in bad[:NAMED]]


def _joined(source: str, kept: list[PoseSet]) -> PoseSet:
    skeletons = {poses.skeleton_name for poses in kept}
    if len(skeletons) > 1:
        names = " and ".join(sorted(get_skeleton(text).name for text in skeletons))
        raise DataError(source, f"poses of {names}", "give sets of one skeleton")
    names = ("keypoints_NJ2", "crop_N3", "group_N", "label_N")
    columns = {name: np.concatenate([getattr(poses, name) for poses in kept]) for name in names}
    return PoseSet(skeleton_name=skeletons.pop(), **columns)


def _own_map(source: str, raw: RawPoses, skeleton: Skeleton | None) -> JointMap:
    """The map of a part without the user's: its format's, or by the names of its joints."""
    if raw.joint_map is not None and (skeleton is None or set(raw.joint_map) == set(skeleton.joints)):
        return raw.joint_map
    if (joint_map := known_map(raw.names, skeleton)) is not None:
        return joint_map
    hint = "name each joint's columns in a YAML file: `flexpose prepare --mapping FILE`, or mapping: FILE in a recipe"
    if skeleton is None and (lacking := nearly_known(raw.names)):
        problem = f"no joint {lacking[0]!r} among the {len(raw.names)} there ({', '.join(list(raw.names)[:40])})"
        raise DataError(source, problem, hint)
    wanted = " or ".join(f"the {s.n_joints} of {s.name}" for s in ([skeleton] if skeleton else (BODY_15, FACE_68)))
    problem = f"found {len(raw.names)} joints ({', '.join(list(raw.names)[:4])}, ...), expected exactly {wanted}"
    raise DataError(source, problem, hint)
