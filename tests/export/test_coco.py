"""COCO files, judged by pycocotools, by our own reader and by what mmpose does with its file."""

from __future__ import annotations

import json
import runpy

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from flexpose_ray.export.mmpose import dataset_info, oks_sigmas
from flexpose_ray.export.options import ExportOptions
from flexpose_ray.export.write import export
from flexpose_ray.pose.alpha import Alpha
from flexpose_ray.pose.skeleton import BODY_15, FACE_68, SKELETONS, get_skeleton
from flexpose_ray.sources.read import read_source
from flexpose_ray.storage.local import LocalStore


def average_precision(file, skeleton, shift: float) -> float:
    """AP of detections that are the file's own keypoints, moved by so many pixels."""
    truth = COCO(file)
    found = [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "keypoints": [v + shift * (i % 3 == 0) for i, v in enumerate(a["keypoints"])],
            "score": 0.9,
        }
        for a in truth.dataset["annotations"]
    ]
    judge = COCOeval(truth, truth.loadRes(found), "keypoints")
    judge.params.kpt_oks_sigmas = np.array(oks_sigmas(skeleton))
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
    return judge.stats[0]


@pytest.mark.parametrize("skeleton", [BODY_15, FACE_68])
def test_coco_eval_finds_every_pose(tmp_path, make_dataset, skeleton):
    make_dataset(LocalStore(tmp_path / "set"), 26, skeleton=skeleton.name)
    export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco"))
    file = tmp_path / "out/annotations.json"
    assert average_precision(file, skeleton, 0) == 1.0
    assert average_precision(file, skeleton, 40) < 0.5, "detections that are off do count as such"


def test_annotations(tmp_path, make_dataset):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path / "set"), 26)
    export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco", size=512))
    coco = json.loads((tmp_path / "out/annotations.json").read_text())
    assert [image["id"] for image in coco["images"]] == list(range(1, 27))
    assert coco["images"][25] == {
        "id": 26, "file_name": "000000000026.png", "width": 512, "height": 512, "license": 1,
    }  # fmt: skip
    (category,) = coco["categories"]
    assert category["keypoints"] == list(BODY_15.joints) and category["skeleton"][0] == [1, 2]
    assert category["name"] == "person" and coco["licenses"][0]["id"] == 1 and coco["info"]["seed"] == 7
    for row, annotation in enumerate(coco["annotations"]):
        points_J3 = np.array(annotation["keypoints"]).reshape(15, 3)
        np.testing.assert_allclose(points_J3[:, :2], keypoints_NJ2[row] * 512, atol=0.0051)
        assert (points_J3[:, 2] == 2).all() and annotation["num_keypoints"] == 15 and annotation["iscrowd"] == 0
        x, y, width, height = annotation["bbox"]
        np.testing.assert_allclose(
            [[x, y], [x + width, y + height]], [points_J3[:, :2].min(0), points_J3[:, :2].max(0)]
        )
        assert annotation["area"] == pytest.approx(width * height, abs=0.0051)
        assert annotation["id"] == annotation["image_id"] == row + 1
        assert annotation["index"] == row + (2**40 if row % 7 == 0 else 0)


def test_our_own_reader_takes_it(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path / "set"), 26)
    export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco"))
    poses, report = read_source(f"coco:{tmp_path}/out/annotations.json")
    assert len(poses) == 26 and poses.skeleton_name == "body_15", report


@pytest.mark.parametrize("encoding", ["png", "webp"])
def test_stored_pictures_go_along_as_they_are(tmp_path, make_dataset, encoding: str):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path / "set"), 26, images=encoding)
    done = export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco"))
    assert done["images"] and done["size"] == 16 and done["files"] == 26 + 3
    coco = json.loads((tmp_path / "out/annotations.json").read_text())
    for image, keypoints_J2 in zip(coco["images"], keypoints_NJ2, strict=True):
        drawn = cv2.imread(str(tmp_path / "out/images" / image["file_name"]))[..., ::-1]
        np.testing.assert_array_equal(drawn, Alpha(size=16).draw_cv(keypoints_J2))
        assert image["width"] == 16 and image["file_name"].endswith(encoding)


def test_pictures_of_another_size_are_drawn(tmp_path, make_dataset):
    keypoints_NJ2 = make_dataset(LocalStore(tmp_path / "set"), 12, images="webp")
    export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco", size=40))
    drawn = cv2.imread(str(tmp_path / "out/images/000000000012.png"))[..., ::-1]
    np.testing.assert_array_equal(drawn, Alpha(size=40).draw_cv(keypoints_NJ2[11]))


def test_pictures_can_be_left_out_or_asked_for(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path / "with"), 12, images="png")
    make_dataset(LocalStore(tmp_path / "without"), 12)
    assert export(str(tmp_path / "with"), str(tmp_path / "a"), ExportOptions("coco", images=False))["files"] == 3
    assert not (tmp_path / "a/images").exists()
    assert export(str(tmp_path / "without"), str(tmp_path / "b"), ExportOptions("coco", images=True))["size"] == 256
    assert len(list((tmp_path / "b/images").iterdir())) == 12


def test_the_annotations_wait_for_the_pictures(tmp_path, make_dataset):
    make_dataset(LocalStore(tmp_path / "set"), 26, images="png")
    seen = []

    def look(done: int, _: int) -> None:
        seen.append((len(list((tmp_path / "out/images").iterdir())), (tmp_path / "out/annotations.json").exists()))

    export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco"), on_progress=look)
    assert seen == [(10, False), (20, False), (26, False)] and (tmp_path / "out/annotations.json").exists()
    (tmp_path / "out/images/000000000013.png").unlink()
    assert export(str(tmp_path / "set"), str(tmp_path / "out"), ExportOptions("coco"))["written"] == 2


@pytest.mark.parametrize("name", SKELETONS)
def test_dataset_info_gives_mmpose_joints_swaps_and_links(tmp_path, name: str):
    skeleton = get_skeleton(name)
    (tmp_path / "info.py").write_text(dataset_info(skeleton))
    info = runpy.run_path(str(tmp_path / "info.py"))["dataset_info"]
    joints = info["keypoint_info"]
    assert list(joints) == list(range(skeleton.n_joints)) and info["dataset_name"] == f"flexpose_{name}"
    number = {joint["name"]: i for i, joint in joints.items()}
    assert tuple(number[joint["swap"] or joint["name"]] for joint in joints.values()) == skeleton.flip
    assert (
        tuple(tuple(number[end] for end in limb["link"]) for limb in info["skeleton_info"].values()) == skeleton.limbs
    )
    assert len(info["sigmas"]) == len(info["joint_weights"]) == skeleton.n_joints
    colors = [
        color for part in (joints, info["skeleton_info"]) for color in (entry["color"] for entry in part.values())
    ]
    assert all(len(color) == 3 and all(type(c) is int and 0 <= c <= 255 for c in color) for color in colors)


def test_sigmas_and_halves_of_the_body():
    info = {}
    exec(dataset_info(BODY_15), info)
    joints = info["dataset_info"]["keypoint_info"].values()
    kinds = {joint["name"]: joint["type"] for joint in joints}
    assert [name for name, kind in kinds.items() if kind == "lower"] == [
        "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle",
    ]  # fmt: skip
    assert oks_sigmas(BODY_15)[:4] == [0.026, 0.079, 0.107, 0.079] and set(oks_sigmas(FACE_68)) == {0.025}
