"""COCO keypoint JSON of any pictures with one subject each, all joints labelled."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np

from flexpose_ray.pose.skeleton import Skeleton


def category(skeleton: Skeleton) -> dict:
    """A skeleton as a category of COCO; joints of limbs count from 1."""
    return {
        "id": 1,
        "name": skeleton.category,
        "supercategory": skeleton.category,
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],
    }


def keypoints_json(
    names: Iterable[str],
    size_N2: np.ndarray,
    points_NJ2: np.ndarray,
    skeleton: Skeleton,
    info: dict,
    confidence_NJ: np.ndarray | None = None,
) -> str:
    """One annotation for every picture.

    Args:
        names: of the files.
        size_N2: their widths and heights, pixels.
        points_NJ2: pixels.
        skeleton: of the points.
        info: of the whole file.
        confidence_NJ: in [0, 1], kept as ``scores`` with their mean as ``score``; None leaves both out.
    """
    images, annotations = [], []
    for i, (name, (w, h), points_J2) in enumerate(zip(names, size_N2, points_NJ2, strict=True), 1):
        images.append({"id": i, "file_name": str(name), "width": int(w), "height": int(h)})
        low, high = points_J2.min(0), points_J2.max(0)
        (x, y), (width, height) = ([round(float(v), 2) for v in pair] for pair in (low, high - low))
        made = {
            "id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "num_keypoints": skeleton.n_joints,
            "keypoints": [v for px, py in points_J2 for v in (round(float(px), 2), round(float(py), 2), 2)],
            "bbox": [x, y, width, height], "area": round(width * height, 2),
        }  # fmt: skip
        if confidence_NJ is not None:
            made["score"] = round(float(confidence_NJ[i - 1].mean()), 4)
            made["scores"] = [round(float(c), 4) for c in confidence_NJ[i - 1]]
        annotations.append(made)
    whole = {"info": info, "images": images, "annotations": annotations, "categories": [category(skeleton)]}
    return json.dumps(whole)
