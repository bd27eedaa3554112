"""Files read in parallel give what they give one after another."""

from __future__ import annotations

import numpy as np
import pytest

from flexpose_ray.engine.reading import reading
from flexpose_ray.errors import DataError
from flexpose_ray.sources.pose_file import poses_to_bytes
from flexpose_ray.sources.read import read_source

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for i in range(90):
        points = "\n".join(f"{x:.3f} {y:.3f}" for x, y in rng.uniform(1, 500, (68, 2)))
        path = tmp_path / f"{i % 7:03d}" / "annot" / f"{i:06d}.pts"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"version: 1\nn_points: 68\n{{\n{points}\n}}\n")
    return tmp_path


def test_the_poses_and_their_order_are_the_same(folder, ray_cluster):
    alone, report = read_source(f"pts:{folder}")
    seen = []
    with reading(workers=2) as read_files:
        poses, told = read_source(
            f"pts:{folder}", read_files=read_files, on_progress=lambda *counts: seen.append(counts)
        )
    assert poses_to_bytes(poses) == poses_to_bytes(alone)
    assert told == report and seen == [(i, 90) for i in range(1, 91)]


def test_a_damaged_file_is_named_as_it_is_alone(folder, ray_cluster):
    (folder / "003" / "annot" / "000003.pts").write_text("no points")
    with reading(workers=2) as read_files, pytest.raises(DataError, match=r"000003\.pts: no points between"):
        read_source(f"pts:{folder}", read_files=read_files)
