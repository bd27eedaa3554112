"""Annotation tools whose people put points by hand: labelme, Label Studio, CVAT."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

import numpy as np

from flexpose_ray.errors import DataError
from flexpose_ray.sources.raw import RawPoses
from flexpose_ray.sources.text import number, read_json, unpacked

Points = dict[str, tuple[float, float]]  # label of a point -> x, y in pixels


def labelme_files(folder: Path) -> list[Path]:
    """The .json of a folder and of the folders in it.

    Raises:
        DataError: there is none.
    """
    if not (files := sorted(folder.rglob("*.json"))):
        raise DataError(folder, "no .json there", "give the folder that labelme wrote to")
    return files


def read_labelme(file: Path, root: Path) -> Iterator[RawPoses]:
    """Read the points of one picture: shapes of type ``point``, a person for each ``group_id``; group is the picture.

    Raises:
        DataError: no list of shapes. A shape that cannot be read counts as unreadable.
    """
    found = read_json(file, "a file of labelme")
    shapes = found.get("shapes") if isinstance(found, dict) else None
    if not isinstance(shapes, list):
        raise DataError(file, 'no list "shapes" there', "give a file of labelme")
    name = str(file.relative_to(root).with_suffix(""))
    people, bad = defaultdict(dict), []
    for i, shape in enumerate(shapes):
        if not isinstance(shape, dict) or shape.get("shape_type", "point") != "point":
            continue
        try:
            (x, y), label = shape["points"][0], str(shape["label"])
            person = people[str(shape.get("group_id"))]
            if label in person:
                raise ValueError(f"{label} twice in a person: give each its group_id")
            person[label] = (number(x), number(y))
        except (ValueError, KeyError, TypeError, IndexError, OverflowError) as e:
            bad.append((f"{name} shape {i}", f"no point: {str(e)[:80]}"))
    size = (_side(found.get("imageWidth")), _side(found.get("imageHeight")))
    picture = str(found.get("imagePath") or "")[:500]
    yield from _parts([(f"{name} group {k}", name, size, picture, p) for k, p in people.items()], bad)


def read_labelstudio(file: Path) -> Iterator[RawPoses]:
    """Read an export of Label Studio (JSON): its ``keypointlabels`` are percents of the picture.

    Points of one ``parentID`` are a person, others of a task together; group is the task.

    Raises:
        DataError: no list of tasks. A point that cannot be read counts as unreadable.
    """
    tasks = read_json(file, "an export of Label Studio")
    if not isinstance(tasks, list):
        raise DataError(file, "no list of tasks there", "export as JSON")
    people, bad = [], []
    for i, task in enumerate(tasks):
        task = task if isinstance(task, dict) else {}
        name, found = f"task {task.get('id', i)}"[:60], defaultdict(dict)
        size = (0.0, 0.0)
        for result in _results(task):
            try:
                value = result["value"]
                width, height = number(result["original_width"]), number(result["original_height"])
                label = str(value["keypointlabels"][0])
                x, y = number(value["x"]) * width / 100, number(value["y"]) * height / 100
                size = (_side(width), _side(height))
                found[str(result.get("parentID"))][label] = (x, y)
            except (ValueError, KeyError, TypeError, IndexError, OverflowError) as e:
                bad.append((name, f"no point: {type(e).__name__} {str(e)[:80]}"))
        picture = _picture_of(task.get("data"))
        people += [(f"{name} {parent}", name, size, picture, points) for parent, points in found.items()]
    yield from _parts(people, bad)


def read_cvat(file: Path) -> Iterator[RawPoses]:
    """Read "CVAT for images" or "CVAT for video" (XML): skeletons, a person each; group is the picture or the track.

    A point that is outside of the picture is a missing one.

    Raises:
        DataError: no XML, or XML with declarations of its own, which no annotation needs.
    """
    people: list[tuple] = []
    bad: list[tuple[str, str]] = []
    state = {"image": "", "size": (0.0, 0.0), "track": "", "person": None, "frame": ""}

    def start(tag: str, given: dict[str, str]) -> None:
        if tag == "image":
            state.update(image=given.get("name", ""), size=(_text_side(given, "width"), _text_side(given, "height")))
        elif tag == "track":
            state["track"] = f"track {given.get('id', '')}"
        elif tag == "skeleton":
            state.update(person={}, frame=given.get("frame", ""))
        elif tag == "points" and state["person"] is not None:
            try:
                x, y = (float(value) for value in given["points"].split(";")[0].split(","))
                outside = given.get("outside") == "1"
                state["person"][given["label"]] = (np.nan, np.nan) if outside else (x, y)
            except (ValueError, KeyError) as e:
                bad.append((state["image"] or state["track"], f"no point: {str(e)[:80]}"))

    def end(tag: str) -> None:
        if tag == "skeleton" and state["person"] is not None:
            group = state["track"] or state["image"]
            row = f"{group} frame {state['frame']}" if state["track"] else f"{group} skeleton {len(people)}"
            people.append((row, group, state["size"], state["image"], state["person"]))
            state["person"] = None
        elif tag == "track":
            state["track"] = ""

    def refuse(*_) -> None:
        raise DataError(file, "XML with declarations of its own", "export it again from CVAT")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    try:
        parser.Parse(unpacked(file), True)
    except (expat.ExpatError, ValueError, LookupError) as e:  # LookupError: an encoding that is none
        raise DataError(file, f"broken XML: {e}", "export it again from CVAT") from e
    yield from _parts(people, bad)


def _parts(people: list[tuple], bad: list[tuple[str, str]]) -> Iterator[RawPoses]:
    """People of the same points together: (row, group, size, picture, points) of each."""
    by_names = defaultdict(list)
    for person in people:
        if person[4]:
            by_names[tuple(sorted(person[4]))].append(person)
    everything = tuple(sorted({name for names in by_names for name in names}))
    if not everything:
        yield RawPoses(np.zeros((0, 0, 2)), [], [], bad=tuple(bad))
        return
    rows = [person for names in by_names.values() for person in names]
    points = [[points.get(name, (np.nan, np.nan)) for name in everything] for *_, points in rows]
    yield RawPoses(
        points_NS2=np.array(points, np.float64),
        names=list(everything),
        row_names=[row for row, *_ in rows],
        group_N=np.array([group for _, group, *_ in rows], np.str_),
        size_N2=np.array([size for _, _, size, *_ in rows], np.float64),
        picture_N=np.array([picture for *_, picture, _ in rows], np.str_),
        bad=tuple(bad),
    )


def _results(task: dict) -> list[dict]:
    """The points of a task: of its annotations, or of what was pre-annotated."""
    found = []
    for key in ("annotations", "completions", "predictions"):
        for annotation in task.get(key) if isinstance(task.get(key), list) else []:
            results = annotation.get("result") if isinstance(annotation, dict) else None
            results = results if isinstance(results, list) else []
            found += [r for r in results if isinstance(r, dict) and r.get("type") == "keypointlabels"]
        if found:
            break
    return found


def _picture_of(data: object) -> str:
    values = data.values() if isinstance(data, dict) else []
    return next((v.rpartition("/")[2][:500] for v in values if isinstance(v, str) and "." in v), "")


def _side(value: object) -> float:
    return float(value) if type(value) in (int, float) and 0 < value < 1e6 else 0.0


def _text_side(given: dict[str, str], name: str) -> float:
    value = given.get(name, "")
    return float(value) if value.isdecimal() and len(value) < 7 else 0.0
