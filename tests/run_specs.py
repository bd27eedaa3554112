"""Runs of data sets that tests write."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flexpose_ray.dataset.run_spec import RunSpec
from flexpose_ray.dataset.shards import shard_schema
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.gate import GateSettings


def run_spec(images: str | None = None, alpha: Alpha | None = None, **changes: Any) -> RunSpec:
    """A run of small shards; ``changes`` replace fields of it."""
    alpha = alpha or Alpha(size=16)
    values = {
        "generator": "ab" * 32,
        "skeleton": alpha.skeleton_name,
        "seed": 7,
        "shard_size": 10,
        "batch": 16,
        "gate": asdict(GateSettings()),
        "schema": {field.name: str(field.type) for field in shard_schema(alpha.skeleton.n_joints, bool(images))},
        "images": images,
        "alpha": alpha.config,
    }
    return RunSpec(**values | changes)
