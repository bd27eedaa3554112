"""The progress line: renewed on a terminal, now and then in a file."""

from __future__ import annotations

import io

from flexpose_ray.engine.runtime import progress
from flexpose_ray.engine.runtime.progress import ProgressLine


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO, monkeypatch) -> str:
    clock = iter(range(0, 10_000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    progress_line = ProgressLine("poses", stream)
    progress_line.shown = -1000.0
    for done in range(1000, 2001, 200):
        progress_line(done, 2000)
    return stream.getvalue()


def test_a_file_gets_a_line_now_and_then_and_the_last(monkeypatch):
    assert run(io.StringIO(), monkeypatch).splitlines() == [
        "1,000 of 2,000 poses (50%), 0.0 poses/s",
        "1,600 of 2,000 poses (80%), 50 poses/s, 0:00:08 left",
        "2,000 of 2,000 poses (100%), 50 poses/s",
    ]


def test_a_terminal_gets_one_line_that_is_renewed(monkeypatch):
    text = run(Terminal(), monkeypatch)
    assert text.count("\r") == 6 and text.count("\n") == 1 and text.endswith("poses/s\n")
