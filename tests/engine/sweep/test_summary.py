"""What rows show: means over seeds, the best points, how sure that is."""

from __future__ import annotations

import pytest

from flexpose_ray.config.sweep import SweepConfig
from flexpose_ray.engine.sweep.summary import front, group_rows, summarise, versus, winners
from flexpose_ray.storage.open import open_store
from tests.engine.sweep.sweeps import made_row, made_rows


def test_seeds_are_averaged_and_the_best_is_first():
    w, one = group_rows(made_rows(), ["fd"])
    assert w["point"] == {"adapt.layers": "w"} and w["trials"] == [2, 3]
    assert w["mean"]["fd"] == pytest.approx(0.23) and w["sd"]["fd"] == pytest.approx(0.0424264)
    told = versus(w, one, "fd")
    assert (told["seeds"], told["wins"]) == (2, 2)
    assert told["ahead"] == pytest.approx(0.09) and told["error"] == pytest.approx(0.01)  # gaps 0.10 and 0.08


def test_more_coverage_is_better():
    assert group_rows(made_rows(), ["coverage"])[0]["point"] == {"adapt.layers": 1}


def test_a_point_with_failed_seeds_does_not_win():
    made = made_rows()
    made[3] = made_row(3, made[3]["point"], "failed")  # what is left of w would be the best
    assert [group["point"]["adapt.layers"] for group in group_rows(made, ["fd"])] == [1, "w"]


def test_the_front_holds_what_nothing_beats():
    points = {"good": (0.1, 9), "fast": (0.3, 1), "between": (0.2, 5), "bad": (0.3, 5), "same": (0.1, 9)}
    made = [made_row(i, {"adapt.gamma": name}, fd=fd, seconds=s) for i, (name, (fd, s)) in enumerate(points.items())]
    kept = front(group_rows(made, ["fd", "seconds"]), ["fd", "seconds"])
    assert {group["point"]["adapt.gamma"] for group in kept} == {"good", "fast", "between", "same"}


def test_shots_are_not_chosen():
    made = [
        made_row(i, {"adapt.layers": layers, "target.shots_per_label": shots}, fd=fd)
        for i, (layers, shots, fd) in enumerate([(1, 1, 0.5), ("w", 1, 0.4), (1, 4, 0.2), ("w", 4, 0.3)])
    ]
    races = winners(group_rows(made, ["fd"]), "fd")
    assert [(r["given"]["target.shots_per_label"], r["best"]["point"]["adapt.layers"]) for r in races] == [
        (4, 1), (1, "w")
    ]  # fmt: skip
    assert races[0]["second"]["point"] == {"adapt.layers": "w", "target.shots_per_label": 4}


def test_a_summary_counts_all(tmp_path):
    space = {"adapt.layers": [1, "w", "all"], "target.seed": [0, 1]}
    made = [*made_rows(), made_row(4, {"adapt.layers": "all", "target.seed": 0}, "failed")]
    found = summarise(open_store(tmp_path), SweepConfig(space=space), made)
    assert found["trials"] == {"done": 4, "stopped": 0, "failed": 1, "missing": 1}
    assert found["failures"] == [{"trial": 4, "error": "TrainingError: bad"}]
    assert found["best"]["point"] == {"adapt.layers": "w"} and found["trial_seconds"] == 7.5
    nothing = summarise(open_store(tmp_path), SweepConfig(space=space), [])
    assert nothing["best"] is None and nothing["winners"] == [] and nothing["trials"]["missing"] == 6
