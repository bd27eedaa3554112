"""Human3.6M in the forms that it is passed on: .cdf as published, arrays of VideoPose3D and mmpose, .h5, and the
simplified set of single frames.

Left and right are the person's own. In files of 17 joints the right leg comes before the left, the left arm before the
right.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flexpose_ray.errors import ConfigError, DataError
from flexpose_ray.sources.film import Clip
from flexpose_ray.sources.foreign_pickle import names_in, read_object
from flexpose_ray.sources.formats.coco import JOINTS as COCO
from flexpose_ray.sources.formats.hdf5 import open_hdf5
from flexpose_ray.sources.formats.published.h36m_simplified import (
    LANDMARKS,
    in_half,
    simplified_action,
    simplified_picture,
    simplified_points,
)
from flexpose_ray.sources.joint_map import JointMap
from flexpose_ray.sources.known import known_map
from flexpose_ray.sources.options import parse_whole
from flexpose_ray.sources.raw import RawPoses

PARTS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
# Joint of body_15 -> its number among the 32 of the published files, and among the 17 of them that move.
OF_32 = {"head": 15, "neck": 13, "pelvis": 0}
OF_32 |= {f"left_{part}": i for part, i in zip(PARTS, (17, 18, 19, 6, 7, 8), strict=True)}
OF_32 |= {f"right_{part}": i for part, i in zip(PARTS, (25, 26, 27, 1, 2, 3), strict=True)}
MOVING = (0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27)
MAPS: dict[int, JointMap] = {
    32: {joint: (str(i),) for joint, i in OF_32.items()},
    17: {joint: (str(MOVING.index(i)),) for joint, i in OF_32.items()},
}
SPELLINGS = {"takingphoto": "Photo", "walkingdog": "WalkDog", "walkdog": "WalkDog", "photo": "Photo"}
FOLDERS_2D, FOLDERS_3D = ("D2_Positions",), ("D3_Positions", "D3_Positions_mono", "D3_Positions_mono_universal")
HALVES, GROUPS = ("", "first", "second"), ("subject", "sequence")
SUBJECT = re.compile(r"S\d{1,2}")


def h36m_files(folder: Path) -> list[Path]:
    """Files of 2D poses in a folder and the folders in it.

    Raises:
        DataError: there is none.
    """
    files = [p for p in folder.rglob("*.cdf") if _kind(p) in FOLDERS_2D]
    files += [p for p in folder.rglob("*.npz") if p.name.startswith(("data_2d_", "h36m_"))]
    files += [p for p in folder.rglob("*.mat") if LANDMARKS in p.parts]
    return _listed(folder, files, "D2_Positions/*.cdf, data_2d_*.npz, h36m_*.npz or Landmarks/SEQUENCE/FRAME.mat")


def h36m3d_files(folder: Path) -> list[Path]:
    """Files of 3D poses in a folder and the folders in it; of several frames of reference the world's.

    Raises:
        DataError: there is none.
    """
    cdf = [p for p in folder.rglob("*.cdf") if _kind(p) in FOLDERS_3D]
    kinds = [kind for kind in FOLDERS_3D if any(_kind(p) == kind for p in cdf)]
    files = [p for p in cdf if _kind(p) == kinds[0]]
    files += [p for p in folder.rglob("*.npz") if p.name.startswith("data_3d_")]
    files += [p for p in folder.rglob("*.h5") if p.parent.name == "3D_positions"]
    return _listed(folder, files, "D3_Positions/*.cdf, data_3d_h36m.npz or 3D_positions/*.h5")


def read_h36m(
    file: Path,
    root: Path,
    subjects: str = "",
    actions: str = "",
    every: str = "1",
    half: str = "",
    group: str = "subject",
) -> Iterator[RawPoses]:
    """Read 2D poses. Label is the action. The simplified set names its pictures, as does mmpose's.

    Args:
        file: see :func:`h36m_files`.
        root: the folder that the source names.
        subjects: only these, as in ``S1,S5``.
        actions: only these, as in ``Walking,Sitting``.
        every: one frame of so many.
        half: "first" or "second": only this half of every sequence; not of mmpose's rows.
        group: "subject", or "sequence": what subject and camera show in one go.

    Raises:
        ConfigError: an option that cannot be used.
        DataError: a damaged file, other joints, or a missing package.
    """
    step = parse_whole("every", every, file, "write every=5", digits=6)
    for name, value, known in (("half", half, HALVES), ("group", group, GROUPS)):
        if value not in known:
            words = " or ".join(word for word in known if word)
            raise ConfigError(file, f"{name} is {value!r}, expected {words}", f"write {name}={known[-1]}")
    if file.suffix == ".mat":
        wanted = _wanted(_subject(file), subjects) and _wanted(simplified_action(file), actions)
        if wanted and not (file.stem.isdecimal() and int(file.stem) % step) and (not half or in_half(file, half)):
            sequence = f"{_subject(file)} {file.parent.name}"
            row, picture = f"{sequence} frame {file.stem}", simplified_picture(file, root)
            yield _poses(file, simplified_points(file), [row], simplified_action(file), group, sequence, picture)
        return
    if file.suffix == ".cdf":
        found = [(_subject(file), file.name, [_cdf(file, 2)])]
    elif "positions_2d" in names_in(file):
        found = _video_pose(file)
    else:
        if half:
            raise ConfigError(file, "its rows have no halves", "leave half out")
        yield from _mmpose(file, subjects, actions, step, group)
        return
    for subject, name, arrays in found:
        action = action_of(name)
        if not action or not _wanted(subject, subjects) or not _wanted(action, actions):
            continue
        for camera, points_FSD in enumerate(arrays):
            middle = len(points_FSD) // 2
            first, end = {"": (0, None), "first": (0, middle), "second": (middle, None)}[half]
            sequence = f"{subject} {name}" + (f" {camera + 1}" if len(arrays) > 1 else "")
            frames = range(len(points_FSD))[first:end:step]
            rows = [f"{subject} {name} frame {i + 1}" for i in frames]
            yield _poses(file, points_FSD[first:end:step], rows, action, group, sequence)


def _poses(
    file: Path, points_FSD: np.ndarray, rows: list[str], action: str, group: str, sequence: str, picture: str = ""
) -> RawPoses:
    """Frames of one sequence, "SUBJECT NAME"."""
    names, joint_map = _joints(file, points_FSD, 2)
    return RawPoses(
        points_NS2=points_FSD[..., :2],
        names=names,
        row_names=rows,
        joint_map=joint_map,
        group_N=np.full(len(rows), sequence if group == "sequence" else sequence.partition(" ")[0]),
        label_N=np.full(len(rows), action),
        picture_N=np.full(len(rows), picture) if picture else None,
    )


def read_h36m3d(file: Path, root: Path, subjects: str = "", actions: str = "") -> Iterator[Clip]:
    """Read 3D poses as clips. z is up in the world's files, -y in a camera's. Label is the action, group the subject.

    Raises:
        DataError: a damaged file, other joints, or a missing package.
    """
    up = "-y" if "mono" in _kind(file) else "z"
    if file.suffix == ".cdf":
        found = [(_subject(file), file.name, _cdf(file, 3))]
    elif file.suffix == ".h5":
        found = [(_subject(file), file.name, _h5(file))]
    else:
        poses = read_object(file, "positions_3d")
        found = [(subject, name, array) for subject, name, array in _leaves(file, poses)]
    for subject, name, world_FS3 in found:
        action = action_of(name)
        if action and _wanted(subject, subjects) and _wanted(action, actions):
            names, joint_map = _joints(file, world_FS3, 3)
            where = f"{file}, {subject} {name}"
            yield Clip(f"{subject}/{name}", action, where, names, world_FS3, up, joint_map, group=subject)


def action_of(name: str) -> str:
    """The action of a file's or a clip's name: without take, camera and suffix, in one spelling; "" of ``_ALL``."""
    plain = re.sub(r"(\.\d{8})?(\.(cdf|h5))?$", "", name)
    plain = re.sub(r"[ _-]+\d+$", "", plain)
    return "" if plain.startswith("_ALL") else SPELLINGS.get(plain.lower(), plain)


def _listed(folder: Path, files: list[Path], what: str) -> list[Path]:
    if not files:
        raise DataError(folder, f"none of {what} there", "give the folder that the subjects' folders lie in")
    return sorted(files)


def _kind(file: Path) -> str:
    """Which of the published folders a file lies in."""
    return file.parent.name.removeprefix("Poses_")


def _subject(file: Path) -> str:
    return next((part for part in reversed(file.parts) if SUBJECT.fullmatch(part)), "S?")


def _wanted(value: str, wanted: str) -> bool:
    return not wanted or value.lower() in {word.strip().lower() for word in wanted.split(",")}


def _joints(file: Path, points: np.ndarray, axes: int) -> tuple[list[str], JointMap]:
    """Names and map of an array (frames, joints, axes)."""
    if points.ndim != 3 or points.shape[1] not in MAPS or points.shape[2] < axes or points.dtype.kind not in "iuf":
        problem = f"found {points.dtype} {points.shape}, expected numbers (frames, 17 or 32 joints, {axes})"
        raise DataError(file, problem, "give a file of Human3.6M")
    return [str(i) for i in range(points.shape[1])], MAPS[points.shape[1]]


def _cdf(file: Path, axes: int) -> np.ndarray:
    """The poses of a published file, (frames, 32, axes)."""
    try:
        import cdflib
    except ImportError as e:
        raise DataError(file, "a .cdf needs the package cdflib", "pip install flexpose-ray[sets]") from e
    try:
        flat = np.asarray(cdflib.CDF(str(file)).varget("Pose"), np.float64)
    except Exception as e:  # a damaged file lets errors of any type out
        raise DataError(file, f"not a readable .cdf: {' '.join(str(e).split())[:120]}", "download it again") from e
    if flat.ndim < 2 or flat.shape[-1] != 32 * axes:
        raise DataError(file, f"Pose is {flat.shape}, expected (1, frames, {32 * axes})", "give a file of Human3.6M")
    return flat.reshape(-1, 32, axes)


def _h5(file: Path) -> np.ndarray:
    """The poses of a file of 3d-pose-baseline, (frames, 32, 3)."""
    with open_hdf5(file, "one of 3d-pose-baseline", "download it again") as found:
        return np.asarray(found["3D_positions"], np.float64).reshape(32, 3, -1).transpose(2, 0, 1)


def _video_pose(file: Path) -> Iterator[tuple[str, str, list[np.ndarray]]]:
    """The clips of data_2d_*.npz: a list of arrays, one a camera."""
    layout = read_object(file, "metadata")
    coco = isinstance(layout, dict) and layout.get("layout_name") == "coco"
    for subject, name, arrays in _leaves(file, read_object(file, "positions_2d")):
        arrays = arrays if isinstance(arrays, list) else [arrays]
        arrays = [np.asarray(array, np.float64) for array in arrays]
        yield subject, name, [_from_coco(array) for array in arrays] if coco else arrays


def _from_coco(points_FSD: np.ndarray) -> np.ndarray:
    """COCO's 17 joints in Human3.6M's places; places that COCO does not have hold NaN."""
    found = np.full(points_FSD.shape, np.nan)
    for joint, parts in known_map(COCO).items():
        columns = [COCO.index(part) for part in parts]
        found[:, int(MAPS[17][joint][0])] = points_FSD[:, columns].mean(1)
    return found


def _leaves(file: Path, poses: object) -> Iterator[tuple[str, str, object]]:
    """(subject, action, array) of a dict of dicts."""
    if not isinstance(poses, dict) or not all(isinstance(clips, dict) for clips in poses.values()):
        raise DataError(file, "no subjects with actions there", "give a file of VideoPose3D")
    for subject, clips in sorted(poses.items()):
        for name, found in sorted(clips.items()):
            yield str(subject), str(name), found


def _mmpose(file: Path, subjects: str, actions: str, step: int, group: str) -> Iterator[RawPoses]:
    """Rows of mmpose's and SPIN's arrays: ``imgname``, ``part`` (N, 17, 3) in pixels with visibility."""
    try:
        with np.load(file, allow_pickle=False) as found:
            names, part = found["imgname"].astype(str), found["part"]
    except Exception as e:  # a damaged file lets errors of any type out
        raise DataError(file, f"no imgname and part there: {str(e)[:120]}", "give h36m_train.npz of mmpose") from e
    if len(names) != len(part):
        raise DataError(file, f"{len(names)} pictures for {len(part)} poses", "download it again")
    joints, joint_map = _joints(file, part, 2)
    clips = [re.sub(r"_\d{6}$", "", Path(name).stem) for name in names]
    subject_N = np.array([clip.partition("_")[0] for clip in clips], np.str_)
    label_N = np.array([action_of(clip.partition("_")[2].partition(".")[0]) for clip in clips], np.str_)
    rows = zip(subject_N, label_N, strict=True)
    keep_N = np.array([bool(a) and _wanted(s, subjects) and _wanted(a, actions) for s, a in rows], bool)
    rows_N = np.flatnonzero(keep_N)[::step]
    yield RawPoses(
        points_NS2=part[rows_N][..., :2].astype(np.float64),
        names=joints,
        row_names=[names[i] for i in rows_N],
        joint_map=joint_map,
        group_N=np.array(clips, np.str_)[rows_N] if group == "sequence" else subject_N[rows_N],
        label_N=label_N[rows_N],
        missing_NS=part[rows_N][..., 2] <= 0 if part.shape[2] > 2 else None,
        picture_N=names[rows_N],
    )
