"""What was found in a source: how much of it became poses, what did not and why, and what looks wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.text_table import text_table

NAMED = 3  # rows that cannot be read and are named, at most


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
        checks: what is seen in the kept poses -> share of them, 0 to 1.
        notes: what the reader decided or met that people should know.
        warnings: what looks wrong, and the option that mends it.
        picture_N: the picture of every pose kept, "" where unknown; None: the source names none.
    """

    source: str
    read: int
    kept: int
    dropped: dict[str, int] = field(default_factory=dict)
    groups: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    checks: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    picture_N: np.ndarray | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, source: str, poses: PoseSet, dropped: dict[str, int] | None = None, **more) -> ReadReport:
        """Count the poses kept of a source, their groups and labels, and what was dropped."""
        dropped = dropped or {}
        labels = dict(sorted(Counter(poses.label_N.tolist()).items()))
        groups = len(np.unique(poses.group_N))
        return cls(source, len(poses) + sum(dropped.values()), len(poses), dropped, groups, labels, **more)

    def as_dict(self) -> dict:
        """All that is counted and said, for JSON."""
        return {name: value for name, value in asdict(replace(self, picture_N=None)).items() if name != "picture_N"}

    def card(self) -> dict:
        """What a pose set keeps of it: everything but the place that it was read from and the labels."""
        return {k: v for k, v in self.as_dict().items() if k not in ("source", "labels", "groups")}

    def __str__(self) -> str:
        rows = [("persons read", self.read)]
        rows += [(f"  dropped: {reason}", count) for reason, count in self.dropped.items()]
        rows += [("poses kept", self.kept), ("  from groups", self.groups)]
        rows += [(f"  label: {label or '(none)'}", count) for label, count in self.labels.items()]
        cells = [(text, f"{count:,}") for text, count in rows]
        cells += [(f"  {what}", f"{share:.0%}") for what, share in self.checks.items()]
        lines = [self.source, text_table(cells)]
        lines += [f"note: {text}" for text in self.notes] + [f"WARNING: {text}" for text in self.warnings]
        return "\n".join(lines)
