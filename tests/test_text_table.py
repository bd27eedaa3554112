"""Columns line up, and no cell is changed."""

from __future__ import annotations

from flexpose_ray.text_table import text_table

ROWS = [["", "FD", "seconds"], [" * ours", "0.10", "1,000"], ["  coral ± 1", "1e5", ""]]


def test_numbers_stand_to_the_right_and_names_to_the_left():
    assert text_table(ROWS).split("\n") == [
        "               FD  seconds",
        " * ours      0.10    1,000",
        "  coral ± 1   1e5",
    ]


def test_columns_take_the_sides_that_they_are_given():
    assert text_table([row[1:] for row in ROWS], "lr").split("\n") == ["FD    seconds", "0.10    1,000", "1e5"]
