import contextlib
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import DataError
from flexpose_ray.pose.geometry import uncrop
from tests.sources.reading import read

POINTS_S2 = np.random.default_rng(0).integers(100, 900, (68, 2)) / 1.0


def text(points_S2=POINTS_S2, head="version: 1\nn_points: {}\n", end="\n"):
    lines = [f"{x:.3f} {y:.3f}" for x, y in points_S2]
    return (head.format(len(points_S2)) + "{\n" + "\n".join(lines) + "\n}").replace("\n", end)


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def pixels(poses):
    return uncrop(poses.keypoints_NJ2, poses.crop_N3)


@pytest.mark.parametrize(
    "content",
    [
        text(),
        text(end="\r\n"),
        text(head="version: 1.0\nn_points:  {}\n"),
        text() + "\n\n",
        text().replace("\n", " \n"),
        text(head=""),
        text().replace(" ", "\t"),
    ],
    ids=["plain", "crlf", "blanks", "newlines", "trailing", "no head", "tabs"],
)
def test_points_are_read_in_their_order(tmp_path, content):
    poses, report = read("pts", write(tmp_path / "image_092 _01.pts", content))
    np.testing.assert_allclose(pixels(poses)[0], POINTS_S2, atol=1e-3)
    assert poses.skeleton_name == "face_68" and report.kept == 1


def test_videos_are_groups_and_pictures_are_their_own(tmp_path):
    for name in (
        "001/annot/000001.pts",
        "001/annot/000002.pts",
        "002/annot/000001.pts",
        "helen/a.pts",
        "helen/b_mirror.pts",
    ):
        write(tmp_path / name, text())
    poses, _ = read("pts", tmp_path)
    assert list(poses.group_N) == ["001", "001", "002", "helen/a"]
    poses, _ = read("pts", tmp_path / "001")
    assert list(poses.group_N) == ["001", "001"]


def test_files_of_other_points_are_counted(tmp_path):
    write(tmp_path / "a.pts", text())
    write(tmp_path / "b.pts", text(POINTS_S2[:51]))
    write(tmp_path / "c.pts", text(POINTS_S2[:29]))
    assert read("pts", tmp_path)[1].dropped == {"of 51 points, not 68": 1, "of 29 points, not 68": 1}


def test_menpos_files_have_y_first(tmp_path):
    yx = POINTS_S2[:, ::-1].tolist()
    old = {"version": 1, "groups": [], "landmarks": {"points": yx}}
    new = {"version": 3, "groups": {"LJSON": {"landmarks": {"points": yx}}}}
    for k, content in enumerate((old, new)):
        poses, _ = read("pts", write(tmp_path / f"{k}.ljson", json.dumps(content)))
        np.testing.assert_allclose(pixels(poses)[0], POINTS_S2, atol=1e-3)
    yx[3] = [None, None]
    assert read("pts", tmp_path)[1].kept == 2
    write(tmp_path / "1.ljson", json.dumps(old | {"landmarks": {"points": yx}}))
    assert read("pts", tmp_path)[1].dropped == {"joints missing": 1}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", r"no points between \{ and \}"),
        (text()[:-1], r"no points between \{ and \}"),
        (text().replace("n_points: 68", "n_points: 67"), "found 68 points, expected the 67 of its header"),
        (text().replace(" ", " far ", 5), "a coordinate is no number: .*far"),
        (text(head="").replace("}", "1 }"), "found 137 numbers, expected two a point"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, told):
    with pytest.raises(DataError, match=rf"face\.pts: {told}"):
        read("pts", write(tmp_path / "face.pts", content))


def test_one_broken_file_of_many_is_counted_and_named(tmp_path):
    for i in range(200):
        write(tmp_path / f"{i:03d}.pts", text() if i != 77 else "no points")
    _, report = read("pts", tmp_path)
    assert report.dropped == {"unreadable": 1} and "077.pts: no points between" in report.notes[0]
    with pytest.raises(DataError, match=r"077\.pts: no points"):
        read("pts", tmp_path, max_bad="0")
    with pytest.raises(DataError, match=r"no \.pts or \.ljson there"):
        read("pts", write(tmp_path / "empty" / "x.txt", "").parent)


@pytest.mark.slow
def test_memory_stays_flat_over_many_files(tmp_path):
    content, peaks = text(), []
    for count in (300, 3000):
        for i in range(count):
            path = tmp_path / f"{i // 500:03d}" / "annot" / f"{i:06d}.pts"
            if not path.exists():
                write(path, content)
        tracemalloc.start()
        assert read("pts", tmp_path)[1].kept == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 2700 * 6000  # of a pose 544 bytes, its names and group, in several copies


@given(changes=st.lists(st.tuples(st.integers(0, 1200), st.binary(max_size=5)), max_size=4), menpo=st.booleans())
def test_damaged_files_are_read_or_refused_in_one_line(tmp_path, changes, menpo):
    path = tmp_path / ("a.ljson" if menpo else "a.pts")
    content = bytearray((json.dumps({"landmarks": {"points": POINTS_S2.tolist()}}) if menpo else text()).encode())
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))
    with contextlib.suppress(DataError):
        read("pts", path)
