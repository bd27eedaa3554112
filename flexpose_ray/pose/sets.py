"""A pose set in memory: keypoints, and what is needed to split, label and un-crop them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.pose.skeleton import Skeleton, get_skeleton


@dataclass(frozen=True)
class PoseSet:
    """Poses of one skeleton, row by row.

    Attributes:
        keypoints_NJ2: float32, crop units.
        skeleton_name: of a shipped skeleton; of one's own its definition (:attr:`Skeleton.text`).
        crop_N3: float32 (scale, offset_x, offset_y) back to pixels; (1, 0, 0) where a pose never had pixels.
        group_N: str; poses of one group (video, clip, picture) stay on one side of every split.
        label_N: str; action or class, "" where unknown.
    """

    keypoints_NJ2: np.ndarray
    skeleton_name: str = "body_15"
    crop_N3: np.ndarray = field(default=None)
    group_N: np.ndarray = field(default=None)
    label_N: np.ndarray = field(default=None)

    def __post_init__(self):
        n = len(self.keypoints_NJ2)
        fill = object.__setattr__  # frozen: fields are completed once, here
        fill(self, "keypoints_NJ2", np.ascontiguousarray(self.keypoints_NJ2, np.float32))
        if self.crop_N3 is None:
            fill(self, "crop_N3", np.tile(np.float32([1, 0, 0]), (n, 1)))
        if self.group_N is None:
            fill(self, "group_N", np.array([str(i) for i in range(n)]))
        if self.label_N is None:
            fill(self, "label_N", np.full(n, "", dtype="<U1"))
        fill(self, "crop_N3", np.asarray(self.crop_N3, np.float32))
        fill(self, "group_N", np.asarray(self.group_N, np.str_))
        fill(self, "label_N", np.asarray(self.label_N, np.str_))
        self.validate()

    def validate(self) -> None:
        """Check shapes and values.

        Raises:
            DataError: a wrong shape, rows that do not match, or NaN.
        """
        want = (self.skeleton.n_joints, 2)
        if self.keypoints_NJ2.ndim != 3 or self.keypoints_NJ2.shape[1:] != want:
            raise DataError(
                "pose set",
                f"{self.skeleton.name} needs (N, {want[0]}, 2) keypoints, found {self.keypoints_NJ2.shape}",
                "map your joints with --mapping",
            )
        bad = ~np.isfinite(self.keypoints_NJ2).all((1, 2))
        if bad.any():
            raise DataError(
                f"pose {int(bad.argmax())}", "keypoints hold NaN or infinity", "drop or complete such poses"
            )
        for name in ("crop_N3", "group_N", "label_N"):
            if len(getattr(self, name)) != len(self):
                raise DataError("pose set", f"{name} has {len(getattr(self, name))} rows for {len(self)} poses")

    @property
    def skeleton(self) -> Skeleton:
        return get_skeleton(self.skeleton_name)

    def __len__(self) -> int:
        return len(self.keypoints_NJ2)

    def take(self, rows: np.ndarray) -> PoseSet:
        """The poses at ``rows`` (indices or a mask), in that order."""
        return replace(
            self,
            keypoints_NJ2=self.keypoints_NJ2[rows],
            crop_N3=self.crop_N3[rows],
            group_N=self.group_N[rows],
            label_N=self.label_N[rows],
        )

    def split(self, held_out: float, seed: int = 0) -> tuple[PoseSet, PoseSet]:
        """Split by group into (kept, held out), about ``held_out`` of the groups in the second part.

        Groups are shuffled by ``seed``; the same groups always fall on the same side.
        """
        groups = np.unique(self.group_N)
        order = np.random.default_rng(seed).permutation(len(groups))
        out = np.isin(self.group_N, groups[order[: round(held_out * len(groups))]])
        return self.take(~out), self.take(out)

    def pick_shots(self, per_label: int, seed: int = 0) -> PoseSet:
        """``per_label`` poses of every label, each from another group where there are enough groups.

        Raises:
            DataError: there is no pose to pick, or less than one is asked for.
        """
        if per_label < 1 or not len(self):
            raise DataError("shots", f"cannot pick {per_label} a label from {len(self)} poses", "ask for at least one")
        rng = np.random.default_rng(seed)
        rows = []
        for label in np.unique(self.label_N):
            mine = rng.permutation(np.flatnonzero(self.label_N == label))
            _, first = np.unique(self.group_N[mine], return_index=True)
            spread = mine[np.sort(first)]
            rest = mine[~np.isin(mine, spread)]
            rows.append(np.concatenate([spread, rest])[:per_label])
        return self.take(np.concatenate(rows))
