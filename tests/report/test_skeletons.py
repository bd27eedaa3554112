"""The picture of source, adapted and target skeletons: a whole SVG file that needs nothing else."""

import json
import sys
import xml.etree.ElementTree as ET

import numpy as np

from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.report import skeletons
from flexpose_ray.sources.pose_file import write_poses

SVG = "{http://www.w3.org/2000/svg}"


def poses(count, seed):
    return np.random.default_rng(seed).random((count, 15, 2)).astype(np.float32)


def test_every_row_has_its_label_and_every_pose_its_limbs():
    rows = [("source <of> all", poses(3, 0)), ("target", poses(2, 1))]
    text = skeletons.rows_svg(rows, BODY_15)
    assert text == skeletons.rows_svg(rows, BODY_15)
    picture = ET.fromstring(text)
    assert [label.text for label in picture.iter(f"{SVG}text")] == ["source <of> all", "target"]
    assert len(list(picture.iter(f"{SVG}rect"))) == 5
    assert len(list(picture.iter(f"{SVG}path"))) == 5 * len(BODY_15.limbs)


def test_a_run_is_drawn_from_its_folder(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_text(json.dumps({"name": "mine"}))
    write_poses(tmp_path / "run" / "target.parquet", PoseSet(poses(4, 0)))
    monkeypatch.setattr(sys, "argv", ["skeletons", str(tmp_path / "run"), str(tmp_path / "new" / "mine.svg")])
    skeletons.main()
    picture = ET.fromstring((tmp_path / "new" / "mine.svg").read_text())
    assert [label.text for label in picture.iter(f"{SVG}text")] == ["target"]
    assert len(list(picture.iter(f"{SVG}rect"))) == 4
