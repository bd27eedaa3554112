"""Annotated pictures are cut to their poses, wherever the pictures lie."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.pictures.annotated import read_annotated
from flexpose_ray.pose.skeleton import BODY_15
from flexpose_ray.studio.render import Pictures
from flexpose_ray.studio.world import Studio, film, shots, studio_poses


@pytest.fixture
def clip(tmp_path: Path) -> Pictures:
    """Sixteen pictures of the studio, each in a larger one, with annotations as COCO's and as a table."""
    studio = Studio("test", 16, size=64)
    seen = film(studio, shots(studio)[0])
    poses = seen.keypoints_NJ2 * 64 + [70, 30]  # each picture lies in a larger one
    images, annotations = [], []
    for i, (picture, points_J2) in enumerate(zip(seen.images_NHW3, poses, strict=True)):
        page = np.zeros((128, 160, 3), np.uint8)
        page[30:94, 70:134] = picture[..., ::-1]
        cv2.imwrite(str(tmp_path / f"{i}.png"), page)
        images.append({"id": i, "file_name": f"{i}.png", "width": 160, "height": 128})
        keypoints = [v for x, y in points_J2.tolist() for v in (x, y, 2)]
        annotations.append({"id": i, "image_id": i, "category_id": 1, "keypoints": keypoints, "num_keypoints": 15})
    category = {"id": 1, "name": "person", "keypoints": list(BODY_15.joints), "skeleton": []}
    whole = {"images": images, "annotations": annotations, "categories": [category]}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    rows = [",".join(["photo", "who", "clip", *(f"{joint}_{axis}" for joint in BODY_15.joints for axis in "xy")])]
    for i, points_J2 in enumerate(poses):
        rows.append(",".join([f"{i}.png", "anna", str(i // 8), *(f"{v:.3f}" for v in points_J2.ravel())]))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    return seen


def apart(annotated, seen: Pictures) -> float:
    """Mean difference to the studio's own pictures, of 255."""
    return np.abs(annotated.pictures_N3SS[:].astype(int) - seen.images_NHW3.transpose(0, 3, 1, 2)).mean()


def test_they_are_cut_to_the_canvas_of_their_poses(clip: Pictures, tmp_path: Path):
    annotated = read_annotated(f"coco:{tmp_path}/a.json", str(tmp_path), 64)
    np.testing.assert_allclose(annotated.poses.keypoints_NJ2, clip.keypoints_NJ2, atol=1e-4)
    assert apart(annotated, clip) < 2  # the same pictures, of the same size
    (tmp_path / "3.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"3\.png: no picture"):
        read_annotated(f"coco:{tmp_path}/a.json", str(tmp_path), 64)
    with pytest.raises(DataError, match=r"no such picture.*--pictures"):
        read_annotated(f"coco:{tmp_path}/a.json", str(tmp_path / "other"), 64)


def test_a_tar_file_serves_as_their_folder(clip: Pictures, tmp_path: Path):
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for i in range(16):
            tar.add(tmp_path / f"{i}.png", f"crops/{i}.png")
    source = f"table:{tmp_path}/a.csv.gz?picture=photo&group=who,clip"
    annotated = read_annotated(source, f"{tmp_path}/all.tar", 64)
    assert apart(annotated, clip) < 2 and len(annotated) == 16
    assert annotated.poses.group_N.tolist() == ["anna_0"] * 8 + ["anna_1"] * 8
    (tmp_path / "short.tar").write_bytes((tmp_path / "all.tar").read_bytes()[:5000])
    with pytest.raises(DataError, match=r"not a whole tar file|no such picture"):
        read_annotated(source, f"{tmp_path}/short.tar", 64)


def test_masks_may_lie_in_a_folder_beside_that_of_the_pictures(tmp_path: Path):
    """As in the simplified set of Human3.6M."""
    points_J2, masked = np.random.default_rng(0).uniform(0.2, 0.8, (32, 2)), np.zeros((128, 128), np.uint8)
    masked[:, :64] = 255
    for folder in ("Landmarks", "WithBackground", "BackgroudMask"):
        (tmp_path / "S1" / folder / "Posing").mkdir(parents=True)
    for frame in (1, 2, 30):
        scipy.io.savemat(tmp_path / "S1" / "Landmarks" / "Posing" / f"{frame}.mat", {"keypoints_2d": points_J2})
        cv2.imwrite(
            str(tmp_path / "S1" / "WithBackground" / "Posing" / f"{frame}.jpg"), np.full((128, 128, 3), 200, np.uint8)
        )
        cv2.imwrite(str(tmp_path / "S1" / "BackgroudMask" / "Posing" / f"{frame}.png"), masked)
    place = str(tmp_path)
    annotated = read_annotated(f"h36m:{place}", place, 32, masks=f"{place}?WithBackground=BackgroudMask")
    left, right = (annotated.pictures_N3SS[:][..., x] for x in (8, 24))
    assert len(annotated) == 3 and (left > 150).mean() > 0.5 and (right < 20).mean() > 0.5
    assert (read_annotated(f"h36m:{place}", place, 32).pictures_N3SS[:][..., 24] > 150).mean() > 0.5
    with pytest.raises(DataError, match="no mask in"):
        read_annotated(f"h36m:{place}", place, 32, masks=f"{place}?WithBackground=Masks")


def test_masks_leave_the_subject_alone(clip: Pictures, tmp_path: Path):
    (tmp_path / "masks").mkdir()
    for i in range(16):
        cv2.imwrite(str(tmp_path / "masks" / f"{i}.png"), np.zeros((128, 160), np.uint8))
    source = f"coco:{tmp_path}/a.json"
    assert not read_annotated(source, str(tmp_path), 64, masks=f"{tmp_path}/masks").pictures_N3SS[:].any()
    (tmp_path / "masks" / "5.png").unlink()
    with pytest.raises(DataError, match=r"5\.png: no mask in"):
        read_annotated(source, str(tmp_path), 64, masks=f"{tmp_path}/masks")


def test_a_studio_without_a_part_brings_the_poses_of_its_own_pictures():
    annotated = read_annotated("synthetic:studio?count=16", ".", 32)
    np.testing.assert_array_equal(annotated.poses.keypoints_NJ2, studio_poses(Studio("pictures", 16)).keypoints_NJ2)
