"""Target poses as a run uses them: the chosen labels, a held-out part, and the few shots."""

from __future__ import annotations

import numpy as np

from flexpose_ray.config import TargetConfig
from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.sources.read import read_source


def split_target(target: TargetConfig, seed: int | None = None) -> tuple[PoseSet, PoseSet, PoseSet]:
    """Read a target and split it by group.

    Args:
        target: where the poses come from; its own seed decides which groups are held out.
        seed: draws the shots, without changing what is held out; the target's seed where None.

    Returns:
        held: the held-out part.
        shots: the annotated poses, ``shots_per_label`` of every label of the rest.
        rest: everything that is not held out, including the shots.

    Raises:
        ConfigError: as :func:`read_target`.
        DataError: as :func:`read_target`, or all groups are held out.
    """
    rest, held = read_target(target).split(target.held_out, target.seed)
    return held, rest.pick_shots(target.shots_per_label, target.seed if seed is None else seed), rest


def read_target(target: TargetConfig) -> PoseSet:
    """Read the poses of the labels in ``only`` (all where it is empty), without those in ``exclude``.

    Raises:
        ConfigError: an unknown label, or as :func:`read_source`.
        DataError: no pose is left, or the poses cannot be used.
    """
    poses, _ = read_source(target.poses, target.mapping)
    labels = np.unique(poses.label_N)
    for key in ("only", "exclude"):
        if unknown := sorted(set(getattr(target, key)) - set(labels)):
            known = ", ".join(filter(None, labels)) or "none"
            raise ConfigError(f"target.{key}", f"no label {unknown[0]!r} in {target.poses}", f"its labels: {known}")
    kept = (set(target.only) or set(labels)) - set(target.exclude)
    poses = poses.take(np.isin(poses.label_N, sorted(kept)))
    if not len(poses):
        raise DataError(target.poses, "no poses are left", f"exclude fewer labels than {', '.join(target.exclude)}")
    return poses
