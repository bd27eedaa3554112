"""WFLW: lists of faces with 98 landmarks, one face a line."""

from __future__ import annotations

from flexpose_ray.pose.skeleton import FACE_68
from flexpose_ray.sources.joint_map import JointMap

# For the 68 landmarks of iBUG, in their order, the number of WFLW's: contour, brows, nose, eyes, mouth.
OF_98 = (
    *range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 60), 60, 61, 63, 64, 65, 67, 68, 69, 71, 72, 73, 75,
    *range(76, 96),
)  # fmt: skip
WFLW_TO_68: JointMap = {joint: (str(i),) for joint, i in zip(FACE_68.joints, OF_98, strict=True)}
