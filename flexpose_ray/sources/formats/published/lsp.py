"""Leeds Sports Pose and its extension: one MATLAB file, 14 joints in pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from flexpose_ray.errors import DataError
from flexpose_ray.sources.joint_map import LIMBS_TO_15
from flexpose_ray.sources.raw import RawPoses

JOINTS = [
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
]  # fmt: skip
TO_15 = LIMBS_TO_15 | {"head": ("head_top",), "neck": ("neck",)}


def read_lsp(path: Path) -> RawPoses:
    """Read a ``joints.mat``; its shape shows which set it is, and so what its third row means.

    * LSP, (3, 14, N): x, y, 1 where occluded. An occluded joint is labelled all the same.
    * LSPET, (14, 3, N): x, y, 1 where labelled.

    Head is the top of the head. Group is the picture, by its number from 1; label is empty.

    Raises:
        DataError: a damaged file or another shape.
    """
    try:
        found = scipy.io.loadmat(path, variable_names=["joints"])
    except Exception as e:  # the parser lets errors of any type out of a damaged file
        raise DataError(path, f"not a readable MATLAB file: {e}", "download it again") from e
    joints = found.get("joints")
    if joints is None or joints.dtype.kind not in "iuf":
        raise DataError(path, "no numbers `joints` there", "give the joints.mat of LSP or LSPET")
    joints = joints[..., None] if joints.ndim == 2 else joints  # of one person alone
    if joints.ndim == 3 and joints.shape[:2] == (3, len(JOINTS)):
        x_SN, y_SN, _ = joints
        missing_NS = None
    elif joints.ndim == 3 and joints.shape[:2] == (len(JOINTS), 3):
        x_SN, y_SN, labelled_SN = np.moveaxis(joints, 1, 0)
        missing_NS = ~(labelled_SN.T > 0)
    else:
        problem = f"joints are {joints.shape}, expected (3, {len(JOINTS)}, N) or ({len(JOINTS)}, 3, N)"
        raise DataError(path, problem, "give the joints.mat of LSP or LSPET")
    pictures = [str(i + 1) for i in range(joints.shape[2])]
    return RawPoses(
        points_NS2=np.stack([x_SN.T, y_SN.T], 2).astype(np.float64),
        names=JOINTS,
        row_names=[f"picture {picture}" for picture in pictures],
        joint_map=TO_15,
        group_N=np.array(pictures),
        missing_NS=missing_NS,
    )
