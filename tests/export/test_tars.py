"""WebDataset tars."""

from __future__ import annotations

import json
import tarfile

import cv2
import numpy as np

from flexpose_ray.export.options import ExportOptions
from flexpose_ray.export.write import export
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.storage.local import LocalStore


def test_samples(tmp_path, make_dataset):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path / "set"), 26)
    options = ExportOptions("webdataset", per_file=12, images=True, size=20)
    done = export(str(tmp_path / "set"), str(tmp_path / "out"), options)
    assert done["files"] == 3 + 1 and done["size"] == 20
    row = 0
    for number in range(3):
        with tarfile.open(tmp_path / f"out/{number:06d}.tar") as tar:
            members = tar.getmembers()
            assert len(members) == 2 * min(12, 26 - row)
            assert {(m.mtime, m.uid, m.gid, m.uname, m.mode) for m in members} == {(0, 0, 0, "", 0o644)}
            for text, picture in zip(members[::2], members[1::2], strict=True):
                index = row + (2**40 if row % 7 == 0 else 0)
                assert (text.name, picture.name) == (f"{index:016d}.json", f"{index:016d}.png")
                sample = json.loads(tar.extractfile(text).read())
                assert sample["index"] == index and sample["skeleton"] == "body_15" and len(sample["confidence"]) == 15
                np.testing.assert_allclose(sample["keypoints"], keypoints_NJ2[row], atol=5.1e-7)
                image = cv2.imdecode(np.frombuffer(tar.extractfile(picture).read(), np.uint8), cv2.IMREAD_COLOR)
                np.testing.assert_array_equal(image[..., ::-1], Alpha(size=20).draw_cv(keypoints_NJ2[row]))
                row += 1
    assert row == 26


def test_pictures_as_the_data_set_has_them(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path / "with"), 12, images="webp")
    make_dataset(LocalStore(tmp_path / "without"), 12)
    for name, suffixes in (("with", {"json", "webp"}), ("without", {"json"})):
        export(str(tmp_path / name), str(tmp_path / "out" / name), ExportOptions("webdataset"))
        with tarfile.open(tmp_path / "out" / name / "000000.tar") as tar:
            assert {member.partition(".")[2] for member in tar.getnames()} == suffixes
