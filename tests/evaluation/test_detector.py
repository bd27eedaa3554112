"""A detector's scores, and its predictions in the files' own pixels."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.evaluation.detector import evaluate, format_scores, predictions, sheet
from flexpose_ray.networks.picture_reader import Reading
from flexpose_ray.pictures.annotated import read_annotated
from flexpose_ray.pictures.read import read_pictures
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.sets import PoseSet
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.sources.read import read_source
from flexpose_ray.studio.world import Studio, film, shots, studio_poses

TEST = "synthetic:studio?part=test&count=64&size=32"


class Knowing:
    """A reader that knows the poses of the studio's test, and takes left for right in the first ten."""

    alpha, size = Alpha("body_15"), 32

    def read(self, pictures_N3SS):
        found_NJ2 = studio_poses(Studio("test", len(pictures_N3SS), size=32)).keypoints_NJ2 + np.float32(0.01)
        found_NJ2[:10] = found_NJ2[:10][:, list(BODY_15.flip)]
        return Reading(found_NJ2, np.full(found_NJ2.shape[:2], 0.75, np.float32), np.arange(len(found_NJ2)) < 10)


def detector(**card):
    mean_J2 = studio_poses(Studio("poses", 200)).keypoints_NJ2.mean(0)
    return SimpleNamespace(reader=Knowing(), card={"mean_pose": mean_J2.tolist(), **card}, digest="d" * 64)


def test_scores_stand_beside_the_mean_pose_and_for_each_label():
    rows = evaluate(detector(), read_annotated(TEST, ".", 32))
    assert [row["what"] for row in rows[:2]] == ["detector", "mean pose"]
    assert [row["what"] for row in rows[2:]] == sorted({clip.action for clip in shots(Studio("test", 64))})
    first, mean = rows[:2]
    assert first["corrected_error"] == first["best_error"] == pytest.approx(0.01 * 2**0.5, rel=1e-3)
    assert first["error"] > first["best_error"] and mean["best_error"] > 3 * first["best_error"]
    assert sum(row["count"] for row in rows[2:]) == first["count"] == 64
    text = format_scores(rows, 32)
    assert f"{100 * first['best_error']:.2f}" in text and "pixels of 32" in text
    assert "mean pose" in text.splitlines()[2]


def test_annotations_without_pictures_are_refused():
    with pytest.raises(DataError, match="does not name the pictures"):
        read_annotated("synthetic:rowing?count=5", ".", 32)


def test_another_skeleton_is_refused():
    annotated = SimpleNamespace(pictures_N3SS=None, poses=PoseSet(np.zeros((2, 68, 2)), "face_68"))
    with pytest.raises(DataError, match="its poses are face_68, the detector's body_15"):
        evaluate(detector(), annotated)


def test_predictions_are_in_the_files_own_pixels_and_can_be_read_again(tmp_path):
    for clip in shots(Studio("test", 16, size=32)):
        for i, picture in enumerate(film(Studio("test", 16, size=32), clip).images_NHW3):
            page = np.zeros((40, 80, 3), np.uint8)
            page[4:36, 8:40] = picture
            cv2.imwrite(str(tmp_path / f"{i:02d}.png"), page)
    pictures = read_pictures(str(tmp_path), 32)
    reading = Knowing().read(pictures.pictures_N3SS)
    found = json.loads(predictions(detector(), pictures, reading))
    assert found["images"][3] == {"id": 4, "file_name": "03.png", "width": 80, "height": 40}
    assert found["annotations"][3]["scores"] == [0.75] * 15
    x, y = np.array(found["annotations"][3]["keypoints"]).reshape(15, 3)[:, :2].T
    np.testing.assert_allclose(x, reading.keypoints_NJ2[3, :, 0] * 80, atol=0.01)
    np.testing.assert_allclose(y, reading.keypoints_NJ2[3, :, 1] * 80 - 20, atol=0.01)
    (tmp_path / "found.json").write_text(json.dumps(found))
    poses, report = read_source(f"coco:{tmp_path}/found.json")
    assert len(poses) == 16 and report.picture_N[3] == "03.png"


def test_a_sheet_shows_pictures_with_what_was_found():
    pictures = read_pictures(TEST, 32)
    page = sheet(detector(), pictures.pictures_N3SS, Knowing().read(pictures.pictures_N3SS))
    assert page.shape == (4 * 160, 6 * 160, 3) and page.std() > 10
