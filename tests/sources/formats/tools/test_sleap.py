import h5py
import numpy as np
import pytest

from flexpose_ray.errors import DataError
from flexpose_ray.pose.skeleton import BODY_15
from tests.sources.reading import joints, read

PIXELS_FJ2 = np.random.default_rng(0).integers(10, 400, (4, 15, 2)).astype(float)


def write(path, tracks, nodes=BODY_15.joints, **more):
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks
        file["node_names"] = np.array(nodes, "S")
        for name, value in more.items():
            file[name] = value
    return path


def test_tracks_are_groups_and_frames_without_an_animal_are_none(tmp_path):
    tracks = np.full((2, 2, 15, 4), np.nan)
    tracks[0] = PIXELS_FJ2.transpose(2, 1, 0)
    tracks[1, :, :, 2] = PIXELS_FJ2[0].T + 1
    path = write(tmp_path / "p.h5", tracks, track_names=np.array(["ann", "bob"], "S"))
    wanted = {joint: tuple(xy) for joint, xy in zip(BODY_15.joints, PIXELS_FJ2[3].tolist(), strict=True)}
    assert joints("sleap", path, 3) == wanted
    poses, report = read("sleap", path)
    assert list(poses.group_N) == ["ann"] * 4 + ["bob"] and report.dropped == {}
    tracks[0, :, 3, 1] = np.nan
    assert read("sleap", write(tmp_path / "p.h5", tracks))[1].dropped == {"joints missing": 1}


def test_what_is_no_analysis_file_is_refused(tmp_path):
    (tmp_path / "p.h5").write_bytes(b"\x89HDF\r\n\x1a\n garbage")
    with pytest.raises(DataError, match=r"p\.h5: not readable as an analysis file"):
        read("sleap", tmp_path / "p.h5")
    with pytest.raises(DataError, match=r"tracks are \(2, 15, 4\), expected"):
        read("sleap", write(tmp_path / "q.h5", np.zeros((2, 15, 4))))
