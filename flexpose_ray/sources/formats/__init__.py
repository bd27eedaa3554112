"""The formats that can be read: one reader each, and what is told about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flexpose_ray.sources.film import Clip
from flexpose_ray.sources.formats.coco import read_coco
from flexpose_ray.sources.formats.motion import bvh_files, read_bvh_clip, read_npz_clips
from flexpose_ray.sources.formats.published.h36m import h36m3d_files, h36m_files, read_h36m, read_h36m3d
from flexpose_ray.sources.formats.published.lsp import read_lsp
from flexpose_ray.sources.formats.published.mpi_inf_3dhp import mpi_files, read_mpi
from flexpose_ray.sources.formats.published.mpii import read_mpii
from flexpose_ray.sources.formats.published.penn import penn_files, read_penn
from flexpose_ray.sources.formats.published.pts import pts_files, read_pts
from flexpose_ray.sources.formats.published.surreal import read_surreal, surreal_files
from flexpose_ray.sources.formats.published.wflw import read_wflw, whole_folder
from flexpose_ray.sources.formats.table import read_table
from flexpose_ray.sources.formats.tools.deeplabcut import read_deeplabcut
from flexpose_ray.sources.formats.tools.label_tools import labelme_files, read_cvat, read_labelme, read_labelstudio
from flexpose_ray.sources.formats.tools.mediapipe import read_mediapipe
from flexpose_ray.sources.formats.tools.openpose import openpose_files, read_openpose
from flexpose_ray.sources.formats.tools.sleap import read_sleap
from flexpose_ray.sources.formats.tools.yolo import read_yolo, yolo_files
from flexpose_ray.sources.raw import RawPoses

Found = RawPoses | Clip | Iterator[RawPoses] | Iterator[Clip]


@dataclass(frozen=True)
class Format:
    """One format of annotations.

    Attributes:
        read: its reader, called as ``read(file, OPTION="value")``; that of a format with ``files`` gets ``root=``
            besides, the folder that the source names. It returns what the file holds at once or part by part; a 3D
            format returns clips, which cameras then see.
        summary: one line about it.
        example: a source of this kind.
        files: lists a folder's files, in a fixed order; None: the path must be a file.
        options: names of the reader's own options.
        mapped: whether joint names vary from file to file, so that a mapping makes sense.
        in_3d: whether the source states cameras.
    """

    read: Callable[..., Found]
    summary: str
    example: str
    files: Callable[[Path], list[Path]] | None = None
    options: tuple[str, ...] = ()
    mapped: bool = False
    in_3d: bool = False


FORMATS = {
    "bvh": Format(
        read_bvh_clip,
        "3D motion as BVH, one file or a folder of them",
        "bvh:motion/?cameras=fixed&every=3",
        files=bvh_files,
        mapped=True,
        in_3d=True,
    ),
    "coco": Format(
        read_coco,
        "COCO keypoints, CrowdPose, COCO-WholeBody; lists of results of AlphaPose, mmpose, detectron2",
        "coco:person_keypoints_train2017.json.gz",
        options=("category",),
        mapped=True,
    ),
    "cvat": Format(read_cvat, "CVAT for images or for video: XML with skeletons", "cvat:annotations.xml", mapped=True),
    "deeplabcut": Format(
        read_deeplabcut,
        "DeepLabCut: .h5 of its results or labels; its .csv is a table:",
        "deeplabcut:videoDLC.h5?skeleton=mouse.yaml",
        mapped=True,
    ),
    "h36m": Format(
        read_h36m,
        "Human3.6M in 2D: .cdf as published, data_2d_*.npz of VideoPose3D, mmpose's .npz, the simplified set's .mat",
        "h36m:h36m/?subjects=S1,S5,S6,S7,S8&every=5",
        files=h36m_files,
        options=("subjects", "actions", "every", "half", "group"),
    ),
    "h36m3d": Format(
        read_h36m3d,
        "Human3.6M in 3D: .cdf as published, data_3d_h36m.npz of VideoPose3D, .h5 of 3d-pose-baseline",
        "h36m3d:data_3d_h36m.npz?cameras=random&every=5&subjects=S9,S11",
        files=h36m3d_files,
        options=("subjects", "actions"),
        in_3d=True,
    ),
    "labelme": Format(
        read_labelme,
        "labelme: a JSON for each picture, points with a group_id for each person",
        "labelme:labels/",
        files=labelme_files,
        mapped=True,
    ),
    "labelstudio": Format(read_labelstudio, "Label Studio: an export as JSON", "labelstudio:export.json", mapped=True),
    "lsp": Format(read_lsp, "Leeds Sports Pose and its extension: joints.mat", "lsp:lsp/joints.mat"),
    "mediapipe": Format(
        read_mediapipe,
        "MediaPipe: JSON with lists of 33 landmarks",
        "mediapipe:landmarks.json?size=640x480",
        mapped=True,
    ),
    "motion": Format(
        read_npz_clips,
        "3D joints as .npz: arrays ACTION/CLIP (frames, joints, 3) and joint names",
        "motion:clips.npz?cameras=random&seed=0&up=z",
        mapped=True,
        in_3d=True,
    ),
    "mpi_inf_3dhp": Format(
        read_mpi,
        "MPI-INF-3DHP in 2D: annot.mat of its training subjects, annot_data.mat of its test, mmpose's .npz",
        "mpi_inf_3dhp:mpi_inf_3dhp/?subjects=S1,S2&every=10",
        files=mpi_files,
        options=("subjects", "views", "every"),
    ),
    "mpii": Format(read_mpii, "MPII Human Pose: its .mat, HRNet's JSON, or CSV", "mpii:mpii_human_pose_v1_u12_1.mat"),
    "openpose": Format(
        read_openpose,
        "OpenPose: *_keypoints.json, one or a folder of them",
        "openpose:keypoints/?min_confidence=0.2",
        files=openpose_files,
    ),
    "penn": Format(read_penn, "Penn Action: the folder labels, or a .tar of it", "penn:Penn_Action", files=penn_files),
    "pts": Format(read_pts, "300-W and 300-VW: folders of .pts or .ljson", "pts:300W/helen/trainset", files=pts_files),
    "sleap": Format(read_sleap, "SLEAP: analysis HDF5", "sleap:labels.analysis.h5?skeleton=fly.yaml", mapped=True),
    "surreal": Format(
        read_surreal,
        "SURREAL: *_info.mat of its clips, sides put right",
        "surreal:SURREAL/data/cmu/train/run0?every=10",
        files=surreal_files,
        options=("every",),
    ),
    "table": Format(
        read_table,
        ".csv, .tsv, .parquet with columns JOINT_x, JOINT_y; .npz with keypoints; DeepLabCut's and SLEAP's tables",
        "table:mine.csv?size=640x480&group=video",
        options=("group", "label", "picture", "only"),
        mapped=True,
    ),
    "wflw": Format(
        read_wflw,
        "WFLW: list_98pt_*.txt, one or a folder of them",
        "wflw:WFLW_annotations?part=train",
        files=whole_folder,
        options=("part",),
    ),
    "yolo": Format(
        read_yolo,
        "YOLO-pose: a folder of label files, with its pictures or size=",
        "yolo:datasets/tigers?skeleton=tiger.yaml",
        files=yolo_files,
        options=("category", "size"),
        mapped=True,
    ),
}
