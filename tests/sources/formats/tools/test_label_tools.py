import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexpose_ray.errors import DataError
from flexpose_ray.pose.skeleton import BODY_15
from tests.sources.reading import joints, read

PIXELS_NJ2 = np.random.default_rng(0).integers(10, 400, (3, 15, 2)).astype(float)
WANTED = [{joint: tuple(xy) for joint, xy in zip(BODY_15.joints, pose, strict=True)} for pose in PIXELS_NJ2.tolist()]


def labelme(*people, **changes):
    shapes = [
        {"label": joint, "points": [list(xy)], "group_id": k, "shape_type": "point"}
        for k, person in enumerate(people)
        for joint, xy in person.items()
    ]
    shapes.append({"label": "person", "points": [[0, 0], [9, 9]], "shape_type": "rectangle"})
    return {"shapes": shapes, "imagePath": "a.jpg", "imageWidth": 640, "imageHeight": 480} | changes


def labelstudio(*people, size=(640, 480)):
    tasks = []
    for i, person in enumerate(people):
        results = [{"id": "box", "type": "rectanglelabels", "value": {}}]
        for joint, (x, y) in person.items():
            value = {"x": 100 * x / size[0], "y": 100 * y / size[1], "keypointlabels": [joint]}
            point = {"original_width": size[0], "original_height": size[1], "type": "keypointlabels", "value": value}
            results.append(point | {"parentID": "box"})
        tasks.append({"id": i, "data": {"image": f"/data/upload/{i}.jpg"}, "annotations": [{"result": results}]})
    return tasks


def cvat(*people, outside=()):
    def skeleton(person):
        points = "".join(
            f'<points label="{joint}" outside="{int(joint in outside)}" occluded="0" points="{x:.2f},{y:.2f}"/>'
            for joint, (x, y) in person.items()
        )
        return f'<skeleton label="person" z_order="0">{points}</skeleton>'

    images = "".join(
        f'<image id="{i}" name="a/{i}.jpg" width="640" height="480">{skeleton(p)}</image>' for i, p in enumerate(people)
    )
    return f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{images}</annotations>'


def write(tmp_path, kind, *people, **changes):
    make = {"labelme": labelme, "labelstudio": labelstudio, "cvat": cvat}[kind]
    content = make(*people, **changes)
    path = tmp_path / ("p.xml" if kind == "cvat" else "p.json")
    path.write_text(content if kind == "cvat" else json.dumps(content))
    return path


@pytest.mark.parametrize("kind", ["labelme", "labelstudio", "cvat"])
def test_every_joint_is_read_by_name(tmp_path, kind):
    path = write(tmp_path, kind, *WANTED)
    for row in range(3):
        assert joints(kind, path, row) == WANTED[row]
    _, report = read(kind, path)
    assert report.kept == 3 and report.groups == (1 if kind == "labelme" else 3)
    assert report.checks["joints outside the picture"] == 0


@pytest.mark.parametrize("kind", ["labelme", "labelstudio", "cvat"])
def test_a_person_without_a_point_has_a_gap(tmp_path, kind):
    without = {joint: xy for joint, xy in WANTED[1].items() if joint != "left_knee"}
    assert read(kind, write(tmp_path, kind, WANTED[0], without))[1].dropped == {"joints missing": 1}


@pytest.mark.parametrize("kind", ["labelme", "labelstudio", "cvat"])
def test_a_mapping_serves_other_labels(tmp_path, kind):
    mapping = tmp_path / "map.yaml"
    mapping.write_text("\n".join(f"{joint}: '{i}'" for i, joint in enumerate(BODY_15.joints)))
    renamed = {str(i): xy for i, xy in enumerate(WANTED[0].values())}
    assert joints(kind, write(tmp_path, kind, renamed), mapping=mapping) == WANTED[0]


def test_a_folder_of_labelme_is_read_and_a_point_twice_is_named(tmp_path):
    for k in range(2):
        (tmp_path / f"{k}.json").write_text(json.dumps(labelme(WANTED[k])))
    poses, _ = read("labelme", tmp_path)
    assert list(poses.group_N) == ["0", "1"]
    content = labelme(WANTED[0])
    content["shapes"] += content["shapes"][:1]
    (tmp_path / "0.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"0 shape 16: no point: head twice in a person"):
        read("labelme", tmp_path / "0.json")


def test_a_point_outside_of_cvats_picture_is_a_gap_and_a_track_is_one_group(tmp_path):
    path = write(tmp_path, "cvat", *WANTED, outside=("head",))
    with pytest.raises(DataError, match="3 joints missing"):
        read("cvat", path)
    points = "".join(f'<points label="{j}" outside="0" points="{x},{y}"/>' for j, (x, y) in WANTED[0].items())
    frames = "".join(f'<skeleton frame="{k}">{points}</skeleton>' for k in range(4))
    path.write_text(f'<annotations><track id="7" label="person">{frames}</track></annotations>')
    poses, _ = read("cvat", path)
    assert list(poses.group_N) == ["track 7"] * 4


def test_xml_with_declarations_is_refused(tmp_path):
    bomb = '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]><annotations>&y;</annotations>'
    (tmp_path / "p.xml").write_text(bomb)
    with pytest.raises(DataError, match="XML with declarations of its own"):
        read("cvat", tmp_path / "p.xml")
    (tmp_path / "p.xml").write_text("<annotations><image>")
    with pytest.raises(DataError, match="broken XML"):
        read("cvat", tmp_path / "p.xml")


@pytest.mark.parametrize(
    ("kind", "content", "told"),
    [
        ("labelme", "[]", 'no list "shapes"'),
        ("labelme", '{"shapes": []}', "it is empty"),
        ("labelstudio", "{}", "no list of tasks"),
        ("labelstudio", "[{}]", "it is empty"),
        ("cvat", "<annotations/>", "it is empty"),
    ],
)
def test_other_files_are_refused(tmp_path, kind, content, told):
    path = tmp_path / ("p.xml" if kind == "cvat" else "p.json")
    path.write_text(content)
    with pytest.raises(DataError, match=told):
        read(kind, path)


KEYS = ("shapes", "label", "points", "group_id", "annotations", "result", "value", "type", "x", "y", "keypointlabels")


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.just(int("9" * 400)),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
        max_leaves=10,
    )
)
def test_json_of_any_shape_is_read_or_refused_in_one_line(tmp_path, value):
    contents = {
        "labelme": [value, {"shapes": value}, labelme(WANTED[0], imageWidth=value, imagePath=value)],
        "labelstudio": [value, [value], [{"annotations": value}], [{"annotations": [{"result": [value]}]}]],
    }
    contents["labelme"].append({"shapes": [{"label": value, "points": [[1, 2]], "group_id": value}]})
    for kind, found in contents.items():
        for content in found:
            (tmp_path / "p.json").write_text(json.dumps(content))
            try:
                read(kind, tmp_path / "p.json")
            except DataError as e:
                assert "\n" not in str(e)


@given(changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=5)), max_size=4))
def test_damaged_xml_is_read_or_refused_in_one_line(tmp_path, changes):
    path = write(tmp_path, "cvat", *WANTED)
    content = bytearray(path.read_bytes())
    for place, new in changes:
        content[place : place + len(new)] = new
    path.write_bytes(bytes(content))
    try:
        read("cvat", path)
    except DataError as e:
        assert "\n" not in str(e)
