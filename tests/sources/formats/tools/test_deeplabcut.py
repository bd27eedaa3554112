import itertools
import pickle

import h5py
import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose.skeleton import BODY_15
from tests.sources.reading import joints, read

PIXELS_FJ2 = np.random.default_rng(0).integers(10, 400, (4, 15, 2)).astype(float)
WANTED = [{j: tuple(xy) for j, xy in zip(BODY_15.joints, pose, strict=True)} for pose in PIXELS_FJ2.tolist()]


def columns(*animals, axes=("x", "y", "likelihood")):
    levels = [("net",), *((animals,) if animals else ()), BODY_15.joints, axes]
    return list(itertools.product(*levels))


def values(*sets_FJ2, sure=0.9):
    flat = [
        np.concatenate([points, np.full((*points.shape[:2], 1), sure)], 2).reshape(len(points), -1)
        for points in sets_FJ2
    ]
    return np.concatenate(flat, 1)


def write_table(path, found, values_FC):
    """As pandas writes its format "table": one record a row, the columns' names as a pickle of plain text."""
    records = np.zeros(len(values_FC), [("index", "<i8"), ("values_block_0", "<f8", (values_FC.shape[1],))])
    records["values_block_0"] = values_FC
    with h5py.File(path, "w") as file:
        file["df_with_missing/table"] = records
        file["df_with_missing/table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(found, 0))
    return path


def write_fixed(path, found, values_FC):
    """As pandas writes its format "fixed": the names of each level, and for each column their places."""
    with h5py.File(path, "w") as file:
        for level, words in enumerate(zip(*found, strict=True)):
            names = sorted(set(words))
            file[f"df/block0_items_level{level}"] = np.array(names, "S")
            file[f"df/block0_items_label{level}"] = np.array([names.index(word) for word in words], np.int8)
        file["df/block0_values"] = values_FC
    return path


@pytest.mark.parametrize("write", [write_table, write_fixed])
def test_every_joint_is_read_by_name(tmp_path, write):
    path = write(tmp_path / "p.h5", columns(), values(PIXELS_FJ2))
    assert [joints("deeplabcut", path, row) for row in range(4)] == WANTED


@pytest.mark.parametrize("write", [write_table, write_fixed])
def test_each_animal_is_a_pose_and_a_frame_without_it_is_none(tmp_path, write):
    second_FJ2 = PIXELS_FJ2 + 1
    second_FJ2[2] = np.nan
    second_FJ2[3, 5] = np.nan
    poses, report = read("deeplabcut", write(tmp_path / "p.h5", columns("ann", "bob"), values(PIXELS_FJ2, second_FJ2)))
    assert list(poses.group_N) == ["ann"] * 4 + ["bob"] * 2 and report.dropped == {"joints missing": 1}


def test_little_likelihood_is_a_gap(tmp_path):
    path = write_table(tmp_path / "p.h5", columns(), values(PIXELS_FJ2, sure=0.1))
    with pytest.raises(DataError, match="4 joints missing"):
        read("deeplabcut", path)
    assert read("deeplabcut", path, min_confidence="0.05")[1].kept == 4


def test_labels_have_no_likelihood(tmp_path):
    path = write_table(tmp_path / "p.h5", columns(axes=("x", "y")), PIXELS_FJ2.reshape(4, 30))
    assert joints("deeplabcut", path, 2) == WANTED[2]


def test_a_pickle_that_asks_for_more_than_text_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (eval, ("1 / 0",))

    with pytest.raises(DataError, match=r"p\.h5: not readable as DeepLabCut's: it asks for \w+\.eval"):
        read("deeplabcut", write_table(tmp_path / "p.h5", [Evil()], values(PIXELS_FJ2)))


def test_what_is_not_deeplabcuts_is_refused(tmp_path):
    (tmp_path / "p.h5").write_bytes(b"\x89HDF\r\n\x1a\n garbage")
    with pytest.raises(DataError, match="not readable as DeepLabCut's"):
        read("deeplabcut", tmp_path / "p.h5")
    with pytest.raises(DataError, match="columns"):
        read("deeplabcut", write_table(tmp_path / "q.h5", columns()[:-1], values(PIXELS_FJ2)))
