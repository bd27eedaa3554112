"""What mmpose needs to know about a skeleton: a Python file that its configs name in ``metainfo=dict(from_file=...)``.

It is Python and not JSON because mmpose uses the joints' numbers as keys of a dict, which in JSON would be strings.
"""

from __future__ import annotations

import pprint

from flexpose_ray.pose.skeleton import Skeleton

# Spread of annotations around a joint, for OKS: COCO's own figures; neck and pelvis take those of shoulder and hip,
# joints that COCO does not have a middle one.
SIGMAS = {
    "head": 0.026, "neck": 0.079, "pelvis": 0.107, "shoulder": 0.079, "elbow": 0.072, "wrist": 0.062,
    "hip": 0.107, "knee": 0.087, "ankle": 0.089, "landmark": 0.025,
}  # fmt: skip
OTHER = 0.05
LOWER = ("pelvis", "hip", "knee", "ankle")


def part_of(joint: str) -> str:
    """The kind of a joint, whatever its side or number: "shoulder" of "left_shoulder", "landmark" of "landmark_7"; ""
    of a joint that COCO does not have."""
    return next((word for word in joint.split("_") if word in SIGMAS), "")


def oks_sigmas(skeleton: Skeleton) -> list[float]:
    """One value for each joint, for OKS: ``COCOeval.params.kpt_oks_sigmas`` and mmpose's ``sigmas``."""
    return [SIGMAS.get(part_of(joint), OTHER) for joint in skeleton.joints]


def dataset_info(skeleton: Skeleton) -> str:
    """The file's Python text; colours are those of alpha, as BGR."""
    colors = [[round(255 * float(c)) for c in reversed(color_3)] for color_3 in skeleton.colors_L3]
    joints = skeleton.joints
    keypoints, limbs = {}, {}
    for i, (joint, mirror) in enumerate(zip(joints, skeleton.flip, strict=True)):
        part = part_of(joint)
        kind = "" if part in ("", "landmark") else "lower" if part in LOWER else "upper"
        color = colors[max(k for k, limb in enumerate(skeleton.limbs) if i in limb)]
        swap = joints[mirror] if mirror != i else ""
        keypoints[i] = {"name": joint, "id": i, "color": color, "type": kind, "swap": swap}
    for k, (a, b) in enumerate(skeleton.limbs):
        limbs[k] = {"link": (joints[a], joints[b]), "id": k, "color": colors[k]}
    info = {
        "dataset_name": f"flexpose_{skeleton.name}",
        "paper_info": {},
        "keypoint_info": keypoints,
        "skeleton_info": limbs,
        "joint_weights": [1.0] * len(joints),
        "sigmas": oks_sigmas(skeleton),
    }
    return f"dataset_info = {pprint.pformat(info, sort_dicts=False, width=120)}\n"
